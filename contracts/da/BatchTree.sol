// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title The tree over the blobs of a batch
/// @notice Keccak-256; a leaf is 0x00 and the id of a blob, an inner node 0x01 and its two children; filled up to a power of two with zero leaves.
/// A proof is bound to the index of its leaf: bit i says on which side the node of level i is.
library BatchTree {
    /// @dev Whether `blobId` is leaf `index` under `root`.
    function verify(
        bytes32 root,
        bytes32 blobId,
        uint256 index,
        bytes32[] calldata proof
    ) internal pure returns (bool) {
        if (index >> proof.length != 0) return false;
        bytes32 node;
        // Memory past the free pointer: the message of an inner node from `pair - 1`, where its prefix is.
        assembly ("memory-safe") {
            let pair := add(mload(0x40), 32)
            mstore8(sub(pair, 1), 0x00)
            mstore(pair, blobId)
            node := keccak256(sub(pair, 1), 33)
            mstore8(sub(pair, 1), 0x01)
            let sibling := proof.offset
            for {
                let end := add(sibling, shl(5, proof.length))
            } lt(sibling, end) {
                sibling := add(sibling, 32)
            } {
                let side := shl(5, and(index, 1))
                mstore(add(pair, side), node)
                mstore(add(pair, xor(side, 32)), calldataload(sibling))
                node := keccak256(sub(pair, 1), 65)
                index := shr(1, index)
            }
        }
        return node == root;
    }
}
