// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title The lottery of samples
/// @notice Packed Keccak hashes, in memory past the free pointer.
library Sampling {
    /// @dev Of a round, whose first block has the hash `blockHash`.
    function seedOf(bytes32 blockHash, uint256 round) internal pure returns (bytes32 seed) {
        assembly ("memory-safe") {
            mstore(0x00, blockHash)
            mstore(0x20, round)
            seed := keccak256(0x00, 0x40)
        }
    }

    /// @dev Which of its `chunks` a row is asked for.
    function pickedChunk(bytes32 seed, bytes32 blobId, uint32 row, uint256 chunks) internal pure returns (uint256) {
        uint256 hash;
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, seed)
            mstore(add(free, 32), blobId)
            mstore(add(free, 64), shl(224, row))
            hash := keccak256(free, 68)
        }
        return hash % chunks;
    }

    /// @dev How good an answer is: the smaller, the better.
    function qualityOf(
        bytes32 seed,
        address account,
        bytes32 blobId,
        uint32 row,
        bytes calldata chunk
    ) internal pure returns (uint256 quality) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, seed)
            mstore(add(free, 32), shl(96, account))
            mstore(add(free, 52), blobId)
            mstore(add(free, 84), shl(224, row))
            calldatacopy(add(free, 88), chunk.offset, chunk.length)
            quality := keccak256(free, add(88, chunk.length))
        }
    }
}
