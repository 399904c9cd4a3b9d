// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Which slot gets which row of a blob
/// @notice A permutation of the T rows for each blob and epoch: 12 rounds of a Feistel network over the two halves of log2 T bits. As its key hashes the
/// blob's id, whoever makes a blob can't know before which rows a signer is going to check.
library Assignment {
    uint256 private constant ROUNDS = 12;

    /// @dev Of an epoch's seed and a blob.
    function keyOf(bytes32 seed, bytes32 blobId) internal pure returns (bytes32 key) {
        assembly ("memory-safe") {
            mstore(0x00, seed)
            mstore(0x20, blobId)
            key := keccak256(0x00, 0x40)
        }
    }

    /// @dev The row at `slot`; both below 2^log2T, which is even.
    function rowAt(bytes32 key, uint256 log2T, uint256 slot) internal pure returns (uint256 row) {
        assembly ("memory-safe") {
            let half := shr(1, log2T)
            let mask := sub(shl(half, 1), 1)
            let left := shr(half, slot)
            let right := and(slot, mask)
            mstore(0x00, key)
            for {
                let round := 0
            } lt(round, ROUNDS) {
                round := add(round, 1)
            } {
                mstore8(0x20, round)
                mstore8(0x21, shr(5, right))
                let next := xor(left, and(byte(and(right, 31), keccak256(0x00, 0x22)), mask))
                left := right
                right := next
            }
            row := or(shl(half, left), right)
        }
    }

    /// @dev The slot that `rowAt` gives `row`. Two rounds at a time, so that the halves need not be swapped.
    function slotOf(bytes32 key, uint256 log2T, uint256 row) internal pure returns (uint256 slot) {
        assembly ("memory-safe") {
            let half := shr(1, log2T)
            let mask := sub(shl(half, 1), 1)
            let left := shr(half, row)
            let right := and(row, mask)
            mstore(0x00, key)
            for {
                let round := ROUNDS
            } round {} {
                mstore8(0x20, sub(round, 1))
                mstore8(0x21, shr(5, left))
                right := xor(right, and(byte(and(left, 31), keccak256(0x00, 0x22)), mask))
                round := sub(round, 2)
                mstore8(0x20, round)
                mstore8(0x21, shr(5, right))
                left := xor(left, and(byte(and(right, 31), keccak256(0x00, 0x22)), mask))
            }
            slot := or(shl(half, left), right)
        }
    }
}
