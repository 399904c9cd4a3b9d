// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";

/// @title Hashes of recent blocks
/// @notice As OpenZeppelin's `Blockhash`, which takes the first word of whatever the history contract's address returns:
/// also of a revert reason, which a simulated chain without EIP-2935 gives. A made-up hash must never become a seed.
library BlockHistory {
    /// @dev Hash of a block up to 256 blocks old, or 8191 on a chain with EIP-2935; 0 if it is not available.
    function hashOf(uint256 number) internal view returns (bytes32 hash) {
        if (number >= block.number || block.number - number <= 256) return blockhash(number);
        bool success;
        (success, hash, ) = LowLevelCall.staticcallReturn64Bytes(Blockhash.HISTORY_STORAGE_ADDRESS, abi.encode(number));
        if (!success || LowLevelCall.returnDataSize() != 32) return 0;
    }
}
