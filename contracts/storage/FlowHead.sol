// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// What every submission reads and writes, in one slot. From the low end: length (64 bits, sectors), submissions (64),
/// nextEpochStart (48, a block), epochOpenedAt (40, unix seconds), closedRanges (40).
type FlowHead is uint256;

using FlowHeadLib for FlowHead global;

/// @title Fields of a FlowHead
library FlowHeadLib {
    /// @dev Sectors in the log.
    function length(FlowHead head) internal pure returns (uint256) {
        return uint64(FlowHead.unwrap(head));
    }

    /// @dev Submissions so far, which is the index of the next one.
    function submissions(FlowHead head) internal pure returns (uint256) {
        return uint64(FlowHead.unwrap(head) >> 64);
    }

    /// @dev First block of the next epoch; it can be opened in any later block.
    function nextEpochStart(FlowHead head) internal pure returns (uint256) {
        return uint48(FlowHead.unwrap(head) >> 128);
    }

    /// @dev Time at which the current epoch was opened.
    function epochOpenedAt(FlowHead head) internal pure returns (uint256) {
        return uint40(FlowHead.unwrap(head) >> 176);
    }

    /// @dev Number of ranges closed so far.
    function closedRanges(FlowHead head) internal pure returns (uint256) {
        return FlowHead.unwrap(head) >> 216;
    }

    /// @dev The head after one more submission, which ends at `newLength`. The caller checks that it fits in 64 bits; the
    /// count of submissions does, as each is at least one sector long.
    function appended(FlowHead head, uint256 newLength) internal pure returns (FlowHead) {
        unchecked {
            return FlowHead.wrap(((FlowHead.unwrap(head) >> 64) << 64) + (1 << 64) + newLength);
        }
    }

    /// @dev The head at the opening of an epoch. Blocks, times and ranges are far below 2^48, 2^40 and 2^40.
    function opened(
        FlowHead head,
        uint256 nextStart,
        uint256 openedAt,
        uint256 ranges
    ) internal pure returns (FlowHead) {
        return FlowHead.wrap(uint128(FlowHead.unwrap(head)) | (nextStart << 128) | (openedAt << 176) | (ranges << 216));
    }
}
