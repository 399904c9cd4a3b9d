// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {DataContract} from "../lib/DataContract.sol";
import {Service, ServiceParams} from "./IInferenceServing.sol";

/// @title The texts of a service, kept as the code of a contract
/// @notice The lengths of the first four (16 bits each), then all five one after the other: as code every byte costs 200 gas, those of an ABI encoding's
/// offsets and padding too.
library ServiceTexts {
    uint256 private constant LENGTHS = 8;

    /// @dev Stores the texts of `params`, each shorter than 2^16 bytes, unless `stored` has the same. Gives where they are.
    function write(ServiceParams calldata params, address stored) internal returns (address) {
        bytes memory texts = abi.encodePacked(
            uint16(bytes(params.serviceType).length),
            uint16(bytes(params.url).length),
            uint16(bytes(params.model).length),
            uint16(bytes(params.verifiability).length),
            params.serviceType,
            params.url,
            params.model,
            params.verifiability,
            params.additionalInfo
        );
        bool same = stored != address(0) && keccak256(DataContract.read(stored)) == keccak256(texts);
        return same ? stored : DataContract.write(texts);
    }

    /// @dev Sets the texts of `service` to those in `stored`.
    function read(address stored, Service memory service) internal view {
        bytes memory texts = DataContract.read(stored);
        string[4] memory found;
        uint256 start = LENGTHS;
        for (uint256 i = 0; i < 4; ++i) {
            uint256 end = start + ((uint256(uint8(texts[2 * i])) << 8) | uint8(texts[2 * i + 1]));
            found[i] = string(Bytes.slice(texts, start, end));
            start = end;
        }
        (service.serviceType, service.url, service.model, service.verifiability) = (
            found[0],
            found[1],
            found[2],
            found[3]
        );
        service.additionalInfo = string(Bytes.slice(texts, start));
    }
}
