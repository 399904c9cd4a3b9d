// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EpochContext, EpochRange} from "../../contracts/storage/IFlow.sol";

/// A log whose context and ranges are whatever a test says.
contract FlowDouble {
    uint256 public blocksPerEpoch = 1000;
    EpochContext private _context;
    mapping(bytes32 digest => EpochRange) private _ranges;

    function setContext(EpochContext calldata context) external {
        _context = context;
    }

    function setRange(bytes32 digest, uint128 start, uint128 end) external {
        _ranges[digest] = EpochRange(start, end);
    }

    function makeContextWithResult() external view returns (EpochContext memory) {
        return _context;
    }

    function getEpochRange(bytes32 digest) external view returns (EpochRange memory) {
        return _ranges[digest];
    }
}
