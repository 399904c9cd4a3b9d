// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blob} from "./Blob.sol";
import {RowTree} from "./RowTree.sol";

/// @title Ids of blobs
library BlobIds {
    bytes32 private constant DOMAIN = "row-da/v1";
    uint256 private constant VERSION = 1;
    /// The only scheme so far (see Blob).
    uint256 private constant SCHEME = 1;
    uint256 private constant MIN_LOG2_K = 6;
    uint256 private constant MAX_LOG2_K = 14;
    /// Bytes in which rows grow.
    uint256 private constant ROW_STEP = 64;
    /// Two bytes for each code, from the smallest at the low end: its largest row, in steps of 64 bytes (256 B, 4 KiB, 8 KiB, 32 KiB, 32 KiB).
    uint256 private constant LARGEST_ROWS = 0x0200_0200_0080_0040_0004;

    /// @dev SHA-256 of "row-da/v1", the 16 bytes of the header (0x01, then the fields as they are declared) and the two roots.
    function idOf(Blob calldata blob) internal view returns (bytes32 id) {
        uint256 header = (VERSION << 120) | (uint256(blob.scheme) << 112) | (uint256(blob.log2K) << 104);
        header |= (uint256(blob.log2T) << 96) | (uint256(blob.rowSize) << 64) | blob.length;
        (bytes32 rowRoot, bytes32 rlcRoot) = (blob.rowRoot, blob.rlcRoot);
        bool done;
        // Memory past the free pointer.
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, DOMAIN)
            mstore(add(free, 9), shl(128, header))
            mstore(add(free, 25), rowRoot)
            mstore(add(free, 57), rlcRoot)
            pop(staticcall(gas(), 0x02, free, 89, 0x00, 32))
            // as in `RowTree`
            done := eq(returndatasize(), 32)
            id := mload(0x00)
        }
        require(done, RowTree.Sha256Failed());
    }

    /// @dev Whether rows of that shape can be the blob's: a code that exists, and the smallest rows that its bytes fit into. How long a blob may be
    /// at most is for the signers to say.
    function isValid(Blob calldata blob) internal pure returns (bool) {
        unchecked {
            uint256 log2K = blob.log2K;
            if (blob.scheme != SCHEME || log2K < MIN_LOG2_K || log2K > MAX_LOG2_K || log2K & 1 != 0) return false;
            if (blob.log2T != log2K + 2) return false;
            uint256 rowSize = blob.rowSize;
            uint256 largest = ((LARGEST_ROWS >> ((log2K - MIN_LOG2_K) << 3)) & 0xffff) * ROW_STEP;
            if (rowSize == 0 || rowSize % ROW_STEP != 0 || rowSize > largest) return false;
            // Below 2^29 both.
            return blob.length > (rowSize - ROW_STEP) << log2K && blob.length <= rowSize << log2K;
        }
    }
}
