// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title From a chunk of a row to the root over all rows
/// @notice SHA-256; a leaf is 0x00 and a chunk of 512 bytes (the last of a row may be shorter), an inner node 0x01 and its two children. The root over the
/// chunks of a row is that row's leaf in the tree over the rows. Both trees are filled up to a power of two with zero leaves.
library RowTree {
    uint256 internal constant CHUNK_SIZE = 512;
    uint256 private constant LOG2_CHUNK_SIZE = 9;

    /// A call of the SHA-256 precompile failed: there is none on this chain, or too little gas.
    error Sha256Failed();

    /// @dev How many chunks a row has.
    function chunksOf(uint256 rowSize) internal pure returns (uint256) {
        return (rowSize + CHUNK_SIZE - 1) >> LOG2_CHUNK_SIZE;
    }

    /// @dev Whether `chunk` is exactly chunk `index` of `row`, and `path` the siblings from there to `rowRoot`, those within the row first.
    function verify(
        bytes32 rowRoot,
        uint256 log2T,
        uint256 rowSize,
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

    /// Levels of a tree of so many leaves: at most 6, as rows end at 32 KiB.
    function _depthOf(uint256 leaves) private pure returns (uint256 depth) {
        unchecked {
            while (1 << depth < leaves) ++depth;
        }
    }

    /// Bit i of `position` says on which side the node of level i is.
    function _root(
        uint256 position,
        bytes calldata chunk,
        bytes32[] calldata path
    ) private view returns (bytes32 root) {
        bool done;
        // Memory past the free pointer: the message of an inner node from `pair - 1`, where its prefix is. The hash of each is put where the next
        // one wants it.
        assembly ("memory-safe") {
            let pair := add(mload(0x40), 32)
            mstore8(sub(pair, 1), 0x00)
            calldatacopy(pair, chunk.offset, chunk.length)
            let side := shl(5, and(position, 1))
            done := staticcall(gas(), 0x02, sub(pair, 1), add(chunk.length, 1), add(pair, side), 32)
            mstore8(sub(pair, 1), 0x01)
            let sibling := path.offset
            for {
                let end := add(sibling, shl(5, path.length))
            } lt(sibling, end) {
                sibling := add(sibling, 32)
            } {
                mstore(add(pair, xor(side, 32)), calldataload(sibling))
                position := shr(1, position)
                side := shl(5, and(position, 1))
                done := and(done, staticcall(gas(), 0x02, sub(pair, 1), 65, add(pair, side), 32))
            }
            // a call to an address without code succeeds and returns nothing
            done := and(done, eq(returndatasize(), 32))
            root := mload(add(pair, side))
        }
        require(done, Sha256Failed());
    }
}
