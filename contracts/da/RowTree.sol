// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title From a chunk of a row to the root over all rows
/// @notice SHA-256; a leaf is 0x00 and a chunk of 512 bytes (the last of a row may be shorter), an inner node 0x01 and its two children. The root over the
/// chunks of a row is that row's leaf in the tree over the rows. Both trees are filled up to a power of two with zero leaves.
library RowTree {
    uint256 internal constant CHUNK_SIZE = 512;
    uint256 private constant LOG2_CHUNK_SIZE = 9;

    /// There is no SHA-256 precompile on this chain.
    error Sha256Failed();

    /// @dev How many chunks a row has.
    function chunksOf(uint32 rowSize) internal pure returns (uint256) {
        unchecked {
            return (uint256(rowSize) + CHUNK_SIZE - 1) >> LOG2_CHUNK_SIZE;
        }
    }

    /// @dev Whether `chunk` is exactly chunk `index` of `row`, and `path` the siblings from there to `rowRoot`, those within the row first.
    function verify(
        bytes32 rowRoot,
        uint256 log2T,
        uint32 rowSize,
        uint256 row,
        uint256 index,
        bytes calldata chunk,
        bytes32[] calldata path
    ) internal view returns (bool) {
        uint256 chunks = chunksOf(rowSize);
        if (row >> log2T != 0 || index >= chunks) return false;
        unchecked {
            uint256 size = index == chunks - 1 ? rowSize - index * CHUNK_SIZE : CHUNK_SIZE;
            uint256 rowDepth = _depthOf(chunks);
            if (chunk.length != size || path.length != rowDepth + log2T) return false;
            return _root((row << rowDepth) | index, chunk, path) == rowRoot;
        }
    }

    /// Levels of a tree of so many leaves: at most 64, as rows end at 32 KiB.
    function _depthOf(uint256 leaves) private pure returns (uint256 depth) {
        assembly ("memory-safe") {
            depth := add(add(gt(leaves, 1), gt(leaves, 2)), add(gt(leaves, 4), gt(leaves, 8)))
            depth := add(depth, add(gt(leaves, 16), gt(leaves, 32)))
        }
    }

    /// Bit i of `position` says on which side the node of level i is.
    function _root(
        uint256 position,
        bytes calldata chunk,
        bytes32[] calldata path
    ) private view returns (bytes32 root) {
        bool done;
        // Memory past the free pointer: two words that begin at a multiple of 64, and the prefix before them. The hash of each node is put where its
        // parent's message wants it. A call that fails has used up the gas, so that only the last one is looked at: one to an address without code
        // succeeds and returns nothing.
        assembly ("memory-safe") {
            let pair := and(add(mload(0x40), 127), not(63))
            let message := sub(pair, 1)
            mstore8(message, 0x00)
            calldatacopy(pair, chunk.offset, chunk.length)
            position := shl(5, position)
            let place := or(pair, and(position, 32))
            pop(staticcall(gas(), 0x02, message, add(chunk.length, 1), place, 32))
            mstore8(message, 0x01)
            let sibling := path.offset
            for {
                let end := add(sibling, shl(5, path.length))
            } lt(sibling, end) {
                sibling := add(sibling, 32)
            } {
                mstore(xor(place, 32), calldataload(sibling))
                position := shr(1, position)
                place := or(pair, and(position, 32))
                pop(staticcall(gas(), 0x02, message, 65, place, 32))
            }
            done := eq(returndatasize(), 32)
            root := mload(place)
        }
        require(done, Sha256Failed());
    }
}
