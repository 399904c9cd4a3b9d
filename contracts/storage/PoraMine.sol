// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {BlockHistory} from "../lib/BlockHistory.sol";
import {Difficulty} from "./Difficulty.sol";
import {EpochContext, EpochRange, IFlow} from "./IFlow.sol";
import {IPoraMine, PoraAnswer, PoraParameters, RecallRange, WorkerContext} from "./IPoraMine.sol";
import {IStorageRewards} from "./IStorageRewards.sol";
import {Pora} from "./Pora.sol";
import {RecallRanges} from "./RecallRanges.sol";

/// @title Proof of random access
/// @notice Pays miners for showing that they keep the log: each epoch gives every miner new work, a nonce chooses a load and makes its 64
/// seals tickets of a lottery, and a winning seal is proven against the root of the log.
/// @dev Never paused: an answer is a claim to money already earned.
contract PoraMine is IPoraMine, AccessManagedUpgradeable, UUPSUpgradeable {
    using RecallRanges for RecallRange;

    /// Digest of an epoch that nobody can mine: keccak256("").
    bytes32 private constant EMPTY_DIGEST = keccak256("");

    uint256 private constant MAX_SUBMISSIONS = type(uint16).max / 2;
    uint256 private constant MAX_SHARDS = 1024;
    uint256 private constant BLOCK_HASHES = 8191; // reach of EIP-2935

    /// Where the work comes from and when it is due. One slot.
    struct Schedule {
        address flow;
        uint16 targetMineBlocks;
        uint32 subtaskInterval;
        uint16 nSubtasks;
        uint16 maxShards;
        uint8 pricingShift; // log2 of the sectors in a pricing chunk of the rewards
    }

    /// Who pays, and what the epoch mined last has had. One slot, the only one that every answer changes.
    struct Tally {
        address rewards;
        uint48 lastMinedEpoch;
        uint16 currentSubmissions;
        uint16 targetSubmissions;
        uint8 difficultyAdjustRatio;
    }

    /// Rules that become valid with the next epoch that is mined, and the floor of the difficulty. One slot.
    struct Upcoming {
        uint16 targetMineBlocks;
        uint32 subtaskInterval;
        uint16 nSubtasks;
        uint16 targetSubmissions;
        uint128 minDifficulty;
    }

    /// What an answer in the current epoch is judged by, in memory.
    struct Round {
        EpochContext context;
        Schedule schedule;
        Tally tally;
        uint256 target;
        bool first; // no answer in this epoch yet: the rules above have changed and are to be stored
    }

    /// @custom:storage-location erc7201:perigee.storage.PoraMine
    struct PoraMineStorage {
        Schedule schedule;
        Tally tally;
        Upcoming upcoming;
        uint256 poraTarget;
        mapping(bytes32 quality => bool) submitted;
        mapping(bytes32 minerId => address) beneficiaries;
    }

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.PoraMine"));

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice `flow` and, unless it is zero (proofs without pay), `rewards` must be deployed: their rules are checked against and read here.
    function initialize(
        address authority,
        address flow_,
        address rewards_,
        PoraParameters calldata parameters
    ) external initializer {
        __AccessManaged_init(authority);
        PoraMineStorage storage $ = _storage();
        $.schedule.flow = flow_;
        $.tally.rewards = rewards_;
        if (rewards_ != address(0)) {
            $.schedule.pricingShift = uint8(Math.log2(IStorageRewards(rewards_).chunkSectors())); // a power of two
        }

        _setMinDifficulty(parameters.minDifficulty);
        _bound("difficulty", parameters.difficulty, parameters.minDifficulty, type(uint128).max);
        $.poraTarget = type(uint256).max / parameters.difficulty;
        _setSchedule(parameters.targetMineBlocks, parameters.nSubtasks, parameters.subtaskInterval);
        _setTargetSubmissions(parameters.targetSubmissions);
        _setDifficultyAdjustRatio(parameters.difficultyAdjustRatio);
        _setMaxShards(parameters.maxShards);
        (Schedule memory schedule, Tally memory tally) = _load($);
        _enact($.upcoming, schedule, tally);
        ($.schedule, $.tally) = (schedule, tally);
    }

    /// @inheritdoc IPoraMine
    function submit(PoraAnswer calldata answer) external {
        PoraMineStorage storage $ = _storage();
        address beneficiary = $.beneficiaries[answer.minerId];
        require(beneficiary != address(0), UnknownMiner(answer.minerId));

        Round memory round = _round($);
        bytes32 quality = _check(round, answer);
        require(!$.submitted[quality], AlreadySubmitted(quality));

        $.submitted[quality] = true;
        uint256 epoch = round.context.epoch;
        Tally memory tally = round.tally;
        emit NewSubmission(epoch, answer.minerId, tally.currentSubmissions, answer.recallPosition);
        unchecked {
            ++tally.currentSubmissions; // below 2 * MAX_SUBMISSIONS before
        }
        tally.lastMinedEpoch = uint48(epoch); // no more than block.number
        $.tally = tally;
        if (round.first) {
            $.schedule = round.schedule;
            if (round.target != $.poraTarget) {
                $.poraTarget = round.target;
                emit TargetAdjusted(epoch, round.target);
            }
        }

        if (tally.rewards == address(0)) return;
        uint256 pricingIndex = answer.recallPosition >> round.schedule.pricingShift;
        IStorageRewards(tally.rewards).claimMineReward(pricingIndex, beneficiary, answer.minerId);
    }

    /// @inheritdoc IPoraMine
    function requestMinerId(address beneficiary, uint64 seed) external returns (bytes32 minerId) {
        require(beneficiary != address(0), ZeroBeneficiary());
        minerId = keccak256(abi.encode(block.chainid, address(this), blockhash(block.number - 1), msg.sender, seed));
        PoraMineStorage storage $ = _storage();
        require($.beneficiaries[minerId] == address(0), MinerIdTaken(minerId));
        $.beneficiaries[minerId] = beneficiary;
        emit NewMinerId(minerId, beneficiary);
    }

    /// @inheritdoc IPoraMine
    function transferBeneficial(address to, bytes32 minerId) external {
        PoraMineStorage storage $ = _storage();
        require($.beneficiaries[minerId] == msg.sender, NotBeneficiary(minerId, msg.sender));
        require(to != address(0), ZeroBeneficiary());
        $.beneficiaries[minerId] = to;
        emit BeneficiaryTransferred(minerId, msg.sender, to);
    }

    /// @inheritdoc IPoraMine
    function computeWorkerContext(bytes32 minerId) external returns (WorkerContext memory work) {
        PoraMineStorage storage $ = _storage();
        Round memory round = _round($);
        work.context = round.context;
        work.maxShards = round.schedule.maxShards;

        (uint256 start, uint256 end) = _subtask(round, minerId);
        if (
            $.beneficiaries[minerId] == address(0) ||
            block.number <= start ||
            block.number > end ||
            round.context.digest == EMPTY_DIGEST ||
            round.tally.currentSubmissions >= 2 * uint256(round.tally.targetSubmissions) ||
            round.context.flowLength < Pora.SECTORS_PER_LOAD
        ) return work;
        bytes32 startHash = BlockHistory.hashOf(start);
        if (startHash == 0) return work;
        work.poraTarget = round.target;
        work.subtaskDigest = keccak256(abi.encode(round.context.digest, startHash));
    }

    /// @inheritdoc IPoraMine
    function setSchedule(uint256 blocks, uint256 subtasks, uint256 interval) external restricted {
        _setSchedule(blocks, subtasks, interval);
    }

    /// @inheritdoc IPoraMine
    function setTargetSubmissions(uint256 target) external restricted {
        _setTargetSubmissions(target);
    }

    /// @inheritdoc IPoraMine
    function setDifficultyAdjustRatio(uint256 ratio) external restricted {
        _setDifficultyAdjustRatio(ratio);
    }

    /// @inheritdoc IPoraMine
    function setMinDifficulty(uint256 difficulty) external restricted {
        _setMinDifficulty(difficulty);
    }

    /// @inheritdoc IPoraMine
    function setMaxShards(uint256 shards) external restricted {
        _setMaxShards(shards);
    }

    function flow() external view returns (address) {
        return _storage().schedule.flow;
    }

    function rewards() external view returns (address) {
        return _storage().tally.rewards;
    }

    function beneficiaries(bytes32 minerId) external view returns (address) {
        return _storage().beneficiaries[minerId];
    }

    function poraTarget() external view returns (uint256) {
        return _storage().poraTarget;
    }

    function maxShards() external view returns (uint64) {
        return _storage().schedule.maxShards;
    }

    function currentSubmissions() external view returns (uint256) {
        return _storage().tally.currentSubmissions;
    }

    function lastMinedEpoch() external view returns (uint256) {
        return _storage().tally.lastMinedEpoch;
    }

    function targetMineBlocks() external view returns (uint256) {
        return _storage().schedule.targetMineBlocks;
    }

    function targetSubmissions() external view returns (uint256) {
        return _storage().tally.targetSubmissions;
    }

    function nSubtasks() external view returns (uint256) {
        return _storage().schedule.nSubtasks;
    }

    function subtaskInterval() external view returns (uint256) {
        return _storage().schedule.subtaskInterval;
    }

    function difficultyAdjustRatio() external view returns (uint256) {
        return _storage().tally.difficultyAdjustRatio;
    }

    function minDifficulty() external view returns (uint256) {
        return _storage().upcoming.minDifficulty;
    }

    /// Opens the current epoch and derives its rules: those of the epoch mined last, or for the first answer of an epoch, what follows
    /// from them. Before anything was ever mined the target stays where it was set.
    function _round(PoraMineStorage storage $) private returns (Round memory round) {
        (Schedule memory schedule, Tally memory tally) = _load($);
        EpochContext memory context = IFlow(schedule.flow).makeContextWithResult();
        uint256 target = $.poraTarget;

        if (context.epoch > tally.lastMinedEpoch) {
            Upcoming memory upcoming = $.upcoming;
            if (tally.lastMinedEpoch != 0) {
                target = Difficulty.adjust(
                    target,
                    tally.currentSubmissions, // at least the one that set lastMinedEpoch
                    tally.targetSubmissions,
                    tally.difficultyAdjustRatio,
                    context.epoch - tally.lastMinedEpoch - 1,
                    upcoming.minDifficulty
                );
            }
            tally.currentSubmissions = 0;
            _enact(upcoming, schedule, tally);
            round.first = true;
        }
        round.context = context;
        round.schedule = schedule;
        round.tally = tally;
        round.target = target;
    }

    /// Two slots with one read each: the compiler would read a slot once per field. Fields lie from the low end as they are declared.
    function _load(PoraMineStorage storage $) private view returns (Schedule memory schedule, Tally memory tally) {
        uint256 first;
        uint256 second;
        assembly ("memory-safe") {
            first := sload($.slot)
            second := sload(add($.slot, 1))
        }
        schedule.flow = address(uint160(first));
        schedule.targetMineBlocks = uint16(first >> 160);
        schedule.subtaskInterval = uint32(first >> 176);
        schedule.nSubtasks = uint16(first >> 208);
        schedule.maxShards = uint16(first >> 224);
        schedule.pricingShift = uint8(first >> 240);
        tally.rewards = address(uint160(second));
        tally.lastMinedEpoch = uint48(second >> 160);
        tally.currentSubmissions = uint16(second >> 208);
        tally.targetSubmissions = uint16(second >> 224);
        tally.difficultyAdjustRatio = uint8(second >> 240);
    }

    function _enact(Upcoming memory upcoming, Schedule memory schedule, Tally memory tally) private pure {
        tally.targetSubmissions = upcoming.targetSubmissions;
        schedule.targetMineBlocks = upcoming.targetMineBlocks;
        schedule.subtaskInterval = upcoming.subtaskInterval;
        schedule.nSubtasks = upcoming.nSubtasks;
    }

    /// Blocks after which and until which `minerId` may answer.
    function _subtask(Round memory round, bytes32 minerId) private pure returns (uint256 start, uint256 end) {
        unchecked {
            uint256 index = uint256(keccak256(abi.encode(round.context.digest, minerId))) % round.schedule.nSubtasks; // not zero: _setSchedule
            start = round.context.mineStart + index * round.schedule.subtaskInterval; // a block number plus less than 2^48
            end = start + round.schedule.targetMineBlocks;
        }
    }

    /// All checks but the last one; returns the quality, which identifies the answer: it depends on every part of it.
    function _check(Round memory round, PoraAnswer calldata answer) private view returns (bytes32 quality) {
        EpochContext memory context = round.context;
        bytes32 subtaskDigest;
        {
            (uint256 start, uint256 end) = _subtask(round, answer.minerId);
            require(block.number > start, TooEarly(start));
            require(block.number <= end, TooLate(end));
            bytes32 startHash = BlockHistory.hashOf(start);
            require(startHash != 0, BlockHashUnavailable(start));
            subtaskDigest = keccak256(abi.encode(context.digest, startHash));
        }

        require(answer.contextDigest == context.digest, WrongContext(answer.contextDigest, context.digest));
        require(context.digest != EMPTY_DIGEST, NotMinable(context.epoch));
        require(round.tally.currentSubmissions < 2 * uint256(round.tally.targetSubmissions), EpochFull(context.epoch));

        uint256 shards = answer.range.numShards();
        answer.range.check(context.flowLength, shards);
        _checkSealedContext(round.schedule.flow, answer.sealedContextDigest, answer.recallPosition);
        require(shards <= round.schedule.maxShards, TooManyShards(shards, round.schedule.maxShards));
        require(answer.sealOffset < Pora.SEALS_PER_LOAD, WrongSealOffset(answer.sealOffset));

        _checkData(context, answer);

        bytes32 recallSeed;
        (recallSeed, quality) = _evaluate(answer, subtaskDigest);
        unchecked {
            // far below 2^64: a range lies inside the log
            uint256 expected = answer.range.load(recallSeed) + answer.sealOffset * Pora.SECTORS_PER_SEAL;
            require(answer.recallPosition == expected, WrongRecallPosition(answer.recallPosition, expected));
        }
        uint256 target = RecallRanges.target(round.target, context.flowLength, shards);
        require(uint256(quality) <= target, QualityNotReached(uint256(quality), target));
    }

    function _checkSealedContext(address flow_, bytes32 digest, uint256 position) private view {
        EpochRange memory sealed_ = IFlow(flow_).getEpochRange(digest);
        unchecked {
            // a position for which this wraps is not the expected one
            uint256 end = position + Pora.SECTORS_PER_SEAL;
            require(sealed_.start < end && end <= sealed_.end, InvalidSealedContext(digest));
        }
    }

    /// The seal opens to data under the root, and to more than zeros: alignment gaps are in the log although nobody has to store them.
    function _checkData(EpochContext memory context, PoraAnswer calldata answer) private pure {
        uint256 position = answer.recallPosition;
        uint256 length = answer.merkleProof.length;
        // sectors under the root of a path of this length; 0 where the shift overflows
        uint256 covered = Pora.SECTORS_PER_SEAL << length;
        require(
            covered >= context.flowLength && covered >> 1 < context.flowLength,
            UnexpectedMerkleProofLength(length)
        );
        bytes32 node = Pora.sealRoot(answer.minerId, answer.sealedContextDigest, position, answer.sealedData);
        require(node != Pora.ZERO_SEAL_ROOT, ZeroSeal(position));
        bytes32 root = Pora.flowRoot(node, position / Pora.SECTORS_PER_SEAL, answer.merkleProof);
        require(root == context.flowRoot, InconsistentMerkleRoot(root, context.flowRoot));
    }

    function _evaluate(
        PoraAnswer calldata answer,
        bytes32 subtaskDigest
    ) private view returns (bytes32 recallSeed, bytes32 quality) {
        bytes32 rangeDigest = answer.range.digest();
        (bytes32 seed0, bytes32 seed1) = Pora.padSeed(answer.minerId, answer.nonce, subtaskDigest, rangeDigest);
        return Pora.evaluate(seed0, seed1, answer.sealOffset, answer.sealedData);
    }

    function _setSchedule(uint256 blocks, uint256 subtasks, uint256 interval) private {
        PoraMineStorage storage $ = _storage();
        uint256 epochBlocks = IFlow($.schedule.flow).blocksPerEpoch();
        _bound("targetMineBlocks", blocks, 1, epochBlocks < BLOCK_HASHES ? epochBlocks : BLOCK_HASHES);
        _bound("nSubtasks", subtasks, 1, type(uint16).max);
        // the last subtask, too, ends before the next epoch takes its work away
        _bound(
            "subtaskInterval",
            interval,
            0,
            subtasks == 1 ? type(uint32).max : (epochBlocks - blocks) / (subtasks - 1)
        );
        $.upcoming.targetMineBlocks = uint16(blocks);
        $.upcoming.nSubtasks = uint16(subtasks);
        $.upcoming.subtaskInterval = uint32(interval);
        emit ScheduleSet(blocks, subtasks, interval);
    }

    function _setTargetSubmissions(uint256 target) private {
        _bound("targetSubmissions", target, 1, MAX_SUBMISSIONS);
        _storage().upcoming.targetSubmissions = uint16(target);
        emit TargetSubmissionsSet(target);
    }

    function _setDifficultyAdjustRatio(uint256 ratio) private {
        _bound("difficultyAdjustRatio", ratio, 1, type(uint8).max);
        _storage().tally.difficultyAdjustRatio = uint8(ratio);
        emit DifficultyAdjustRatioSet(ratio);
    }

    function _setMinDifficulty(uint256 difficulty) private {
        _bound("minDifficulty", difficulty, 1, type(uint128).max);
        _storage().upcoming.minDifficulty = uint128(difficulty);
        emit MinDifficultySet(difficulty);
    }

    function _setMaxShards(uint256 shards) private {
        _bound("maxShards", shards, 1, MAX_SHARDS);
        require(shards & (shards - 1) == 0, InvalidParameter("maxShards", shards, 1, MAX_SHARDS));
        _storage().schedule.maxShards = uint16(shards);
        emit MaxShardsSet(shards);
    }

    function _bound(bytes32 name, uint256 value, uint256 min, uint256 max) private pure {
        require(value >= min && value <= max, InvalidParameter(name, value, min, max));
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _storage() private pure returns (PoraMineStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
