// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// What every submission reads and writes, in one slot. From the low end: length (64 bits, sectors), submissions (48),
/// nextEpochStart (48, a block), epochOpenedAt (32, unix seconds), closedRanges (32), pausedUntil (32, unix seconds).
type FlowHead is uint256;

using FlowHeadLib for FlowHead global;

/// @title Fields of a FlowHead
/// @dev None can outgrow its bits before the year 2106: submissions, blocks and ranges take time, the length is checked.
library FlowHeadLib {
    uint256 private constant SUBMISSIONS = 64;
    uint256 private constant NEXT_EPOCH_START = 112;
    uint256 private constant EPOCH_OPENED_AT = 160;
    uint256 private constant CLOSED_RANGES = 192;
    uint256 private constant PAUSED_UNTIL = 224;

    /// @dev Sectors in the log.
    function length(FlowHead head) internal pure returns (uint256) {
        return uint64(FlowHead.unwrap(head));
    }

    /// @dev Submissions so far, which is the index of the next one.
    function submissions(FlowHead head) internal pure returns (uint256) {
        return uint48(FlowHead.unwrap(head) >> SUBMISSIONS);
    }

    /// @dev First block of the next epoch; it can be opened in any later block.
    function nextEpochStart(FlowHead head) internal pure returns (uint256) {
        return uint48(FlowHead.unwrap(head) >> NEXT_EPOCH_START);
    }

    /// @dev Time at which the current epoch was opened.
    function epochOpenedAt(FlowHead head) internal pure returns (uint256) {
        return uint32(FlowHead.unwrap(head) >> EPOCH_OPENED_AT);
    }

    /// @dev Number of ranges closed so far.
    function closedRanges(FlowHead head) internal pure returns (uint256) {
        return uint32(FlowHead.unwrap(head) >> CLOSED_RANGES);
    }

    /// @dev Time until which submissions are paused.
    function pausedUntil(FlowHead head) internal pure returns (uint256) {
        return FlowHead.unwrap(head) >> PAUSED_UNTIL;
    }

    /// @dev The head after one more submission, which ends at `newLength` < 2^64.
    function appended(FlowHead head, uint256 newLength) internal pure returns (FlowHead) {
        uint256 rest = (FlowHead.unwrap(head) >> SUBMISSIONS) + 1;
        return FlowHead.wrap((rest << SUBMISSIONS) | newLength);
    }

    /// @dev The head at the opening of an epoch.
    function opened(
        FlowHead head,
        uint256 nextStart,
        uint256 openedAt,
        uint256 ranges
    ) internal pure returns (FlowHead) {
        uint256 kept = uint112(FlowHead.unwrap(head)) | (head.pausedUntil() << PAUSED_UNTIL);
        return
            FlowHead.wrap(
                kept | (nextStart << NEXT_EPOCH_START) | (openedAt << EPOCH_OPENED_AT) | (ranges << CLOSED_RANGES)
            );
    }

    /// @dev The head paused until then.
    function paused(FlowHead head, uint256 until) internal pure returns (FlowHead) {
        return FlowHead.wrap(uint224(FlowHead.unwrap(head)) | (until << PAUSED_UNTIL));
    }
}
