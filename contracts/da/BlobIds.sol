// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blob} from "./Blob.sol";

/// @title Ids of blobs
library BlobIds {
    /// The only scheme so far (see Blob).
    uint256 private constant SCHEME = 1;
    uint256 private constant MIN_LOG2_K = 6;
    uint256 private constant MAX_LOG2_K = 14;
    /// Bytes in which rows grow.
    uint256 private constant ROW_STEP = 64;
    /// Two bytes for each code, from the smallest at the low end: its largest row, in steps of 64 bytes (256 B, 4 KiB, 8 KiB, 32 KiB, 32 KiB).
    uint256 private constant LARGEST_ROWS = 0x0200_0200_0080_0040_0004;

    /// @dev SHA-256 of "row-da/v1", the 16 bytes of the header (0x01, then the fields as they are declared) and the two roots.
    function idOf(Blob calldata blob) internal pure returns (bytes32) {
        return
            sha256(
                abi.encodePacked(
                    "row-da/v1",
                    uint8(0x01),
                    blob.scheme,
                    blob.log2K,
                    blob.log2T,
                    blob.rowSize,
                    blob.length,
                    blob.rowRoot,
                    blob.rlcRoot
                )
            );
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
