// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {QeIdentity} from "./ICollateralRegistry.sol";
import {Json} from "./Json.sol";
import {TcbInfo} from "./TcbInfo.sol";

/// @title Identity of the TDX quoting enclave, version 2
/// @notice The document that Intel's provisioning service signs for all platforms.
library QeIdentityDocument {
    using Json for Json.Cursor;

    uint256 private constant ALL = (1 << 12) - 1;

    /// @dev Reads the document: the identity, whose `until` is its next update, and its levels as TcbInfo.isvLevels gives them. Its signature is not checked here.
    function parse(bytes memory text) internal pure returns (QeIdentity memory identity, bytes memory levels) {
        Json.Cursor memory json = Json.open(text);
        uint256 seen;
        json.enter("{");
        do {
            bytes32 key = json.key();
            uint256 field = _parseDates(json, key, identity);
            if (field == 0) field = _parseEnclave(json, key, identity);
            if (field == 0 && key == "tcbLevels") {
                field = 1 << 11;
                levels = TcbInfo.isvLevels(json);
            }
            if (field == 0) json.skip();
            require(seen & field == 0, Json.InvalidField(key));
            seen |= field;
        } while (json.more("}"));
        json.finish();
        require(seen == ALL, Json.InvalidField(0));
    }

    function _parseDates(
        Json.Cursor memory json,
        bytes32 key,
        QeIdentity memory identity
    ) private pure returns (uint256 field) {
        if (key == "id") {
            require(json.textHash() == keccak256("TD_QE"), Json.InvalidField(key));
            return 1 << 0;
        }
        if (key == "version") {
            require(json.number() == 2, Json.InvalidField(key));
            return 1 << 1;
        }
        if (key == "issueDate") {
            identity.issueDate = uint40(json.date()); // four digits of a year
            return 1 << 2;
        }
        if (key == "nextUpdate") {
            identity.until = uint40(json.date());
            return 1 << 3;
        }
        if (key == "tcbEvaluationDataNumber") {
            identity.evaluation = json.number16();
            return 1 << 4;
        }
    }

    function _parseEnclave(
        Json.Cursor memory json,
        bytes32 key,
        QeIdentity memory identity
    ) private pure returns (uint256 field) {
        if (key == "miscselect") {
            identity.miscSelect = bytes4(uint32(json.hexadecimal(4)));
            return 1 << 5;
        }
        if (key == "miscselectMask") {
            identity.miscSelectMask = bytes4(uint32(json.hexadecimal(4)));
            return 1 << 6;
        }
        if (key == "attributes") {
            identity.attributes = bytes16(uint128(json.hexadecimal(16)));
            return 1 << 7;
        }
        if (key == "attributesMask") {
            identity.attributesMask = bytes16(uint128(json.hexadecimal(16)));
            return 1 << 8;
        }
        if (key == "mrsigner") {
            identity.mrSigner = bytes32(json.hexadecimal(32));
            return 1 << 9;
        }
        if (key == "isvprodid") {
            identity.isvProdId = json.number16();
            return 1 << 10;
        }
    }
}
