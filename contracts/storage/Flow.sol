// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ExpiringPause} from "../access/ExpiringPause.sol";
import {BlockHistory} from "../lib/BlockHistory.sol";
import {RefundCredit} from "../lib/RefundCredit.sol";
import {FlowHead} from "./FlowHead.sol";
import {FlowTree} from "./FlowTree.sol";
import {
    EpochContext,
    EpochRange,
    EpochRangeWithContextDigest,
    IFlow,
    Submission,
    SubmissionData,
    SubmissionNode
} from "./IFlow.sol";
import {IStorageMarket} from "./IStorageMarket.sol";
import {IStorageRewards} from "./IStorageRewards.sol";
import {Submissions} from "./Submissions.sol";

/// @title The log of storage submissions
/// @notice A submission is placed, charged and logged in constant space: the contract keeps only the peaks of the tree and
/// one slot of counters. The root is computed once per epoch, by whoever first touches the contract in it.
contract Flow is IFlow, ExpiringPause, RefundCredit, ReentrancyGuardTransient, UUPSUpgradeable {
    using FlowTree for FlowTree.Peaks;

    /// Sectors that became minable together. The epoch that received them was opened at `openedAt`.
    struct ClosedRange {
        uint64 start;
        uint64 end;
        uint64 openedAt;
    }

    /// @custom:storage-location erc7201:perigee.storage.Flow
    struct FlowStorage {
        FlowHead head;
        address market;
        uint48 firstBlock;
        uint48 blocksPerEpoch;
        address rewards;
        // The context of the current epoch; its digest follows from these.
        uint64 epoch;
        uint64 contextLength;
        /// Start of the open range: sectors from here on are not minable yet.
        uint64 openRangeStart;
        bytes32 contextRoot;
        bytes32 contextBlockDigest;
        FlowTree.Peaks peaks;
        mapping(bytes32 contextDigest => ClosedRange) ranges;
        mapping(uint256 index => bytes32 contextDigest) rangeDigests;
    }

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.Flow"));

    /// Block digest and context digest of an epoch that cannot be mined, as its block hash is no longer available.
    bytes32 private constant NO_DIGEST = keccak256("");

    /// Gas to be left when a submission begins. It costs nothing, as what is unused is not charged, but makes an estimate large
    /// enough to hold when other submissions come first or the block opens an epoch: the public clients send exactly what was
    /// estimated, and then wait without end for a submission that ran out of gas.
    uint256 private constant GAS_HEADROOM = 400_000;

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice To be called in the deployment transaction of the proxy. The current block starts epoch 0, which cannot be
    /// mined; the log starts with one sector that holds nothing.
    /// @param authority the AccessManager
    /// @param market_ says what is due for a submission
    /// @param rewards_ receives it
    /// @param blocksPerEpoch_ a chain without EIP-2935 needs at most 256, any other at most 8191, for every epoch to be minable
    function initialize(
        address authority,
        address market_,
        address rewards_,
        uint256 blocksPerEpoch_
    ) external initializer {
        require(market_ != address(0) && rewards_ != address(0), InvalidPeers(market_, rewards_));
        require(blocksPerEpoch_ != 0 && blocksPerEpoch_ <= type(uint40).max, InvalidEpochLength(blocksPerEpoch_));
        __AccessManaged_init(authority);
        FlowStorage storage $ = _flowStorage();
        $.market = market_;
        $.rewards = rewards_;
        $.firstBlock = uint48(block.number);
        $.blocksPerEpoch = uint48(blocksPerEpoch_);
        $.contextLength = 1;
        $.openRangeStart = 1;
        $.contextBlockDigest = NO_DIGEST;
        $.head = FlowHead.wrap(1).opened(block.number + blocksPerEpoch_, block.timestamp, 0);
    }

    // ---- submitting

    /// @inheritdoc IFlow
    function submit(
        Submission calldata submission
    ) external payable nonReentrant whenNotPaused returns (uint256, bytes32, uint256, uint256) {
        _checkSubmitter(submission.submitter);
        return _submit(submission.data);
    }

    /// @inheritdoc IFlow
    function submit(
        SubmissionData calldata data
    ) external payable nonReentrant whenNotPaused returns (uint256, bytes32, uint256, uint256) {
        return _submit(data);
    }

    /// @inheritdoc IFlow
    function batchSubmit(
        Submission[] calldata submissions
    )
        external
        payable
        nonReentrant
        whenNotPaused
        returns (
            uint256[] memory indexes,
            bytes32[] memory digests,
            uint256[] memory startIndexes,
            uint256[] memory lengths
        )
    {
        _checkGas();
        uint256 count = submissions.length;
        (indexes, digests, startIndexes, lengths) = _receipts(count);
        FlowStorage storage $ = _openEpoch();
        for (uint256 i = 0; i < count; ++i) {
            _checkSubmitter(submissions[i].submitter);
            (indexes[i], digests[i], startIndexes[i], lengths[i]) = _append($, submissions[i].data);
        }
        _charge($, startIndexes, lengths);
    }

    /// @inheritdoc IFlow
    function batchSubmit(
        SubmissionData[] calldata datas
    )
        external
        payable
        nonReentrant
        whenNotPaused
        returns (
            uint256[] memory indexes,
            bytes32[] memory digests,
            uint256[] memory startIndexes,
            uint256[] memory lengths
        )
    {
        _checkGas();
        uint256 count = datas.length;
        (indexes, digests, startIndexes, lengths) = _receipts(count);
        FlowStorage storage $ = _openEpoch();
        for (uint256 i = 0; i < count; ++i) {
            (indexes[i], digests[i], startIndexes[i], lengths[i]) = _append($, datas[i]);
        }
        _charge($, startIndexes, lengths);
    }

    function _submit(
        SubmissionData calldata data
    ) private returns (uint256 index, bytes32 digest, uint256 startIndex, uint256 length) {
        _checkGas();
        FlowStorage storage $ = _openEpoch();
        (index, digest, startIndex, length) = _append($, data);
        uint256 amount = IStorageMarket($.market).due(length, msg.value);
        IStorageRewards($.rewards).fill{value: amount}(startIndex, length);
        _refund(msg.sender, msg.value - amount);
    }

    function _append(
        FlowStorage storage $,
        SubmissionData calldata data
    ) private returns (uint256 index, bytes32 digest, uint256 startPos, uint256 sectors) {
        sectors = Submissions.validSectors(data);
        FlowHead head = $.head;
        uint256 length = head.length();
        SubmissionNode[] calldata nodes = data.nodes;
        length = $.peaks.pad(length, Submissions.alignment(length, nodes[0].height, sectors));
        require(length + sectors <= type(uint64).max, FlowFull(length, sectors));
        startPos = length;
        for (uint256 i = 0; i < nodes.length; ++i) length = $.peaks.append(length, nodes[i].root, nodes[i].height);
        index = head.submissions();
        $.head = head.appended(length);
        digest = Submissions.identity(nodes);
        emit Submit(msg.sender, digest, index, startPos, sectors, data);
    }

    /// Charges a batch at one price per sector; the amount due is a whole multiple of the sectors.
    function _charge(FlowStorage storage $, uint256[] memory starts, uint256[] memory lengths) private {
        uint256 total = 0;
        for (uint256 i = 0; i < lengths.length; ++i) total += lengths[i];
        uint256 amount = IStorageMarket($.market).due(total, msg.value);
        IStorageRewards to = IStorageRewards($.rewards);
        for (uint256 i = 0; i < lengths.length; ++i) {
            to.fill{value: (amount / total) * lengths[i]}(starts[i], lengths[i]);
        }
        _refund(msg.sender, msg.value - amount);
    }

    function _checkGas() private view {
        uint256 left = gasleft();
        require(left >= GAS_HEADROOM, NotEnoughGas(left, GAS_HEADROOM));
    }

    function _checkSubmitter(address submitter) private view {
        require(submitter == msg.sender, SubmitterMismatch(submitter, msg.sender));
    }

    function _receipts(
        uint256 count
    ) private pure returns (uint256[] memory, bytes32[] memory, uint256[] memory, uint256[] memory) {
        require(count != 0, InvalidSubmission());
        return (new uint256[](count), new bytes32[](count), new uint256[](count), new uint256[](count));
    }

    // ---- epochs

    /// @inheritdoc IFlow
    function makeContext() external {
        _openEpoch();
    }

    /// @inheritdoc IFlow
    function makeContextFixedTimes(uint256) external {
        _openEpoch();
    }

    /// @inheritdoc IFlow
    function makeContextWithResult() external returns (EpochContext memory) {
        return _context(_openEpoch());
    }

    /// Opens the epoch of this block, however many were missed: those had no miners to serve. An epoch opens only after its
    /// first block, whose hash makes its context unpredictable.
    function _openEpoch() private returns (FlowStorage storage $) {
        $ = _flowStorage();
        FlowHead head = $.head;
        if (block.number <= head.nextEpochStart()) return $;

        uint256 first = $.firstBlock;
        uint256 perEpoch = $.blocksPerEpoch;
        uint256 epoch_ = (block.number - 1 - first) / perEpoch;
        uint256 start = first + epoch_ * perEpoch;
        uint256 length = head.length();
        if ($.contextLength != length) {
            $.contextLength = uint64(length);
            $.contextRoot = $.peaks.root(length);
        }
        $.epoch = uint64(epoch_);
        bytes32 blockDigest = BlockHistory.hashOf(start);
        // Without its hash the epoch cannot be mined, and the range stays open for the next one that can.
        $.contextBlockDigest = blockDigest == 0 ? NO_DIGEST : blockDigest;
        bytes32 digest = _contextDigest($);

        uint256 closed = head.closedRanges();
        uint256 rangeStart = $.openRangeStart;
        if (blockDigest != 0 && rangeStart < length) {
            $.ranges[digest] = ClosedRange({
                start: uint64(rangeStart),
                end: uint64(length),
                openedAt: uint64(head.epochOpenedAt())
            });
            $.rangeDigests[closed++] = digest;
            $.openRangeStart = uint64(length);
        }
        $.head = head.opened(start + perEpoch, block.timestamp, closed);
        emit NewEpoch(msg.sender, epoch_, $.contextRoot, head.submissions(), length, digest);
    }

    /// @inheritdoc IFlow
    function getContext() external view returns (EpochContext memory) {
        return _context(_flowStorage());
    }

    function _context(FlowStorage storage $) private view returns (EpochContext memory) {
        return
            EpochContext({
                epoch: $.epoch,
                mineStart: $.firstBlock + uint256($.epoch) * $.blocksPerEpoch,
                flowRoot: $.contextRoot,
                flowLength: $.contextLength,
                blockDigest: $.contextBlockDigest,
                digest: _contextDigest($)
            });
    }

    function _contextDigest(FlowStorage storage $) private view returns (bytes32) {
        bytes32 blockDigest = $.contextBlockDigest;
        if (blockDigest == NO_DIGEST) return NO_DIGEST;
        return keccak256(abi.encode(blockDigest, $.contextRoot, uint256($.contextLength)));
    }

    // ---- ranges

    /// @inheritdoc IFlow
    function getEpochRange(bytes32 digest) external view returns (EpochRange memory) {
        return _range(_flowStorage().ranges[digest]);
    }

    /// @inheritdoc IFlow
    function getEpochRangeHistory(uint256 index) external view returns (EpochRange memory) {
        FlowStorage storage $ = _flowStorage();
        return _range($.ranges[$.rangeDigests[index]]);
    }

    /// @inheritdoc IFlow
    function queryContextAtPosition(uint128 position) external view returns (EpochRangeWithContextDigest memory) {
        FlowStorage storage $ = _flowStorage();
        (bytes32 digest, ClosedRange storage range) = _rangeAt($, position);
        return EpochRangeWithContextDigest({start: range.start, end: range.end, digest: digest});
    }

    /// @inheritdoc IFlow
    function openedAtPosition(uint256 position) external view returns (uint256) {
        FlowStorage storage $ = _flowStorage();
        if (position >= $.head.length()) return 0;
        if (position >= $.openRangeStart) return $.head.epochOpenedAt();
        (, ClosedRange storage range) = _rangeAt($, position);
        return range.openedAt;
    }

    /// The first closed range that ends after `position`; the empty one of digest 0 if none does. Ranges touch each other.
    function _rangeAt(FlowStorage storage $, uint256 position) private view returns (bytes32, ClosedRange storage) {
        uint256 low = 0;
        uint256 count = $.head.closedRanges();
        uint256 high = count;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if ($.ranges[$.rangeDigests[middle]].end > position) high = middle;
            else low = middle + 1;
        }
        bytes32 digest = $.rangeDigests[low];
        return (digest, $.ranges[digest]);
    }

    function _range(ClosedRange storage range) private view returns (EpochRange memory) {
        return EpochRange({start: range.start, end: range.end});
    }

    // ---- reading

    /// @inheritdoc IFlow
    function computeFlowRoot() external view returns (bytes32) {
        FlowStorage storage $ = _flowStorage();
        return $.peaks.root($.head.length());
    }

    /// @inheritdoc IFlow
    function market() external view returns (address) {
        return _flowStorage().market;
    }

    /// @inheritdoc IFlow
    function rewards() external view returns (address) {
        return _flowStorage().rewards;
    }

    /// @inheritdoc IFlow
    function epoch() external view returns (uint256) {
        return _flowStorage().epoch;
    }

    /// @inheritdoc IFlow
    function firstBlock() external view returns (uint256) {
        return _flowStorage().firstBlock;
    }

    /// @inheritdoc IFlow
    function blocksPerEpoch() external view returns (uint256) {
        return _flowStorage().blocksPerEpoch;
    }

    /// @inheritdoc IFlow
    function epochStartPosition() external view returns (uint256) {
        return _flowStorage().openRangeStart;
    }

    /// @inheritdoc IFlow
    function numSubmissions() public view returns (uint256) {
        return _flowStorage().head.submissions();
    }

    /// @inheritdoc IFlow
    function submissionIndex() external view returns (uint256) {
        return numSubmissions();
    }

    /// @inheritdoc IFlow
    function tree() external view returns (uint256 currentLength, uint256 unstagedHeight) {
        return (_flowStorage().head.length(), 0);
    }

    /// @inheritdoc ExpiringPause
    function pausedUntil() public view override returns (uint256) {
        return _flowStorage().head.pausedUntil();
    }

    function _setPausedUntil(uint256 until) internal override {
        FlowStorage storage $ = _flowStorage();
        $.head = $.head.paused(until);
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _flowStorage() private pure returns (FlowStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
