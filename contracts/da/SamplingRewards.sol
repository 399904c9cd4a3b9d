// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BatchTree} from "./BatchTree.sol";
import {Blob} from "./Blob.sol";
import {BlobIds} from "./BlobIds.sol";
import {IDACertificates} from "./IDACertificates.sol";
import {ISamplingRewards} from "./ISamplingRewards.sol";
import {RowTree} from "./RowTree.sol";
import {Sampling} from "./Sampling.sol";

/// @title Rewards for holding rows
/// @notice Behind a proxy, as how rewards are weighed will evolve. Its balance is the fees, what was donated, and all rewards not withdrawn.
/// @dev Never paused: an answer is a claim to money already earned.
contract SamplingRewards is ISamplingRewards, AccessManagedUpgradeable, UUPSUpgradeable {
    /// One slot, that every answer changes.
    struct Round {
        uint40 number;
        uint16 answers;
        /// Aimed at.
        uint16 wanted;
        /// Of each answer.
        uint96 reward;
        /// The upper bits of the target; the others are ones.
        uint88 target;
    }

    /// Without what answers of the last round took, which is subtracted when the next one begins. No amount overflows, as the balance of the contract
    /// fits 96 bits. One slot.
    struct Pool {
        uint96 fees;
        uint96 donated;
    }

    /// Read where a round begins. One slot.
    struct Settings {
        uint16 answersPerRound;
        uint32 feeRatio;
        uint96 baseReward;
        /// What of the reward of the last round comes from what was donated.
        uint96 ofDonated;
    }

    /// One slot.
    struct Account {
        uint96 rewards;
        /// The round it was last rewarded in.
        uint40 round;
        /// Marks of its answers in that round, which keep each from counting twice; the first at the low end, 0 where there is none.
        uint120 marks;
    }

    /// @custom:storage-location erc7201:perigee.storage.SamplingRewards
    struct SamplingRewardsStorage {
        Round round;
        Pool pool;
        Settings settings;
        mapping(address account => Account) accounts;
    }

    uint256 private constant MAX_TARGET = type(uint88).max;
    /// One answer in 2^64: so that even the hardest target can be eased by an eighth.
    uint256 private constant MIN_TARGET = 1 << 24;
    uint256 private constant TARGET_SHIFT = 256 - 88;
    /// Silent rounds that double the target: (9/8)^6 is 2.03.
    uint256 private constant DOUBLING = 6;
    /// After so many doublings, and one more, every target is the largest.
    uint256 private constant MAX_DOUBLINGS = 64;

    uint256 private constant MARK_BITS = 12;
    /// Marks are from 1 to this. That two answers have the same one, so that one is lost, happens once in 4,095.
    uint256 private constant MARKS = (1 << MARK_BITS) - 1;
    /// @notice Most answers of an account in a round: more than a third of all usually are.
    uint256 public constant MAX_ANSWERS_PER_ACCOUNT = 10;

    /// As far as hashes of blocks reach.
    uint256 private constant MAX_ROUND_BLOCKS = 256;
    uint256 private constant MAX_ANSWERS_PER_ROUND = 1000;
    uint256 private constant MAX_RETENTION = 180 days;
    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.SamplingRewards"));

    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    address public immutable dataAvailability;
    /// @inheritdoc ISamplingRewards
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    uint64 public immutable roundBlocks;
    /// @inheritdoc ISamplingRewards
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    uint64 public immutable retention;

    /// @param dataAvailability_ knows certificates and who holds which rows
    /// @param roundBlocks_ blocks of a round, 1 to 256
    /// @param retention_ seconds after its certificate in which rows of a blob are rewarded
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor(address dataAvailability_, uint64 roundBlocks_, uint64 retention_) {
        _bound("roundBlocks", roundBlocks_, 1, MAX_ROUND_BLOCKS);
        _bound("retention", retention_, 1, MAX_RETENTION);
        dataAvailability = dataAvailability_;
        roundBlocks = roundBlocks_;
        retention = retention_;
        _disableInitializers();
    }

    /// @notice To be called in the deployment transaction of the proxy. At first every answer wins.
    /// @param authority the AccessManager
    function initialize(address authority, SamplingParameters calldata parameters_) external initializer {
        __AccessManaged_init(authority);
        SamplingRewardsStorage storage $ = _storage();
        $.round.number = uint40(_number());
        $.round.target = uint88(MAX_TARGET);
        _setParameters(parameters_);
        // Nothing is there to be earned yet.
        $.round.wanted = parameters_.answersPerRound;
    }

    // ---- answers

    /// @inheritdoc ISamplingRewards
    function submit(Sample calldata sample) external {
        (bytes32 blobId, address account) = _check(sample);
        SamplingRewardsStorage storage $ = _storage();
        Round memory current = $.round;
        if (_isOver(current)) _begin($, current);
        uint256 quality = _evaluate(sample, _seed(current.number), blobId, account);
        require(quality <= _whole(current.target), QualityTooLow(quality, _whole(current.target)));
        require(current.answers < 2 * uint256(current.wanted), RoundFull(current.number));
        unchecked {
            ++current.answers;
        }
        _store($.round, current);
        _credit($.accounts[account], account, current.number, quality, current.reward);
        emit SampleRewarded(current.number, account, blobId, sample.row, quality, current.reward);
    }

    /// That the member must hold the row.
    function _check(Sample calldata sample) private view returns (bytes32 blobId, address account) {
        blobId = BlobIds.idOf(sample.blob);
        bytes32 batchRoot = sample.batchRoot;
        uint64 certifiedAt;
        (certifiedAt, account) = IDACertificates(dataAvailability).holderOf(
            batchRoot,
            sample.member,
            blobId,
            sample.blob.log2K,
            sample.row
        );
        require(certifiedAt != 0, NotCertified(batchRoot));
        require(block.timestamp <= certifiedAt + retention, CertificateTooOld(batchRoot));
        // What two thirds signed has a shape that a blob can have.
        require(BatchTree.verify(batchRoot, blobId, sample.blobIndex, sample.blobProof), NotInBatch(blobId));
        require(account != address(0), NotHolder(sample.member, sample.row));
    }

    /// The quality of the chunk that the seed picks.
    function _evaluate(
        Sample calldata sample,
        bytes32 seed,
        bytes32 blobId,
        address account
    ) private view returns (uint256) {
        uint32 row = sample.row;
        uint256 index = Sampling.pickedChunk(seed, blobId, row, RowTree.chunksOf(sample.blob.rowSize));
        _checkChunk(sample.blob, row, index, sample.chunk, sample.path);
        return Sampling.qualityOf(seed, account, blobId, row, sample.chunk);
    }

    function _checkChunk(
        Blob calldata blob,
        uint256 row,
        uint256 index,
        bytes calldata chunk,
        bytes32[] calldata path
    ) private view {
        require(RowTree.verify(blob.rowRoot, blob.log2T, blob.rowSize, row, index, chunk, path), InvalidChunk());
    }

    /// Three fields in one write, and five in `_store`: the compiler would write each.
    function _credit(Account storage $, address account, uint256 number, uint256 quality, uint256 reward) private {
        Account memory current = $;
        uint256 marks = _mark(current.round == number ? current.marks : 0, account, quality);
        unchecked {
            uint256 word = (marks << 136) | (number << 96) | (current.rewards + reward);
            assembly ("memory-safe") {
                sstore($.slot, word)
            }
        }
    }

    function _store(Round storage $, Round memory current) private {
        uint256 word = (uint256(current.target) << 168) | (uint256(current.reward) << 72);
        word |= (uint256(current.wanted) << 56) | (uint256(current.answers) << 40) | current.number;
        assembly ("memory-safe") {
            sstore($.slot, word)
        }
    }

    /// The marks with that of one more answer.
    function _mark(uint256 marks, address account, uint256 quality) private pure returns (uint256) {
        unchecked {
            uint256 mark = 1 + (quality % MARKS);
            for (uint256 shift = 0; shift < MAX_ANSWERS_PER_ACCOUNT * MARK_BITS; shift += MARK_BITS) {
                uint256 other = (marks >> shift) & MARKS;
                if (other == 0) return marks | (mark << shift);
                require(other != mark, AlreadyAnswered(quality));
            }
        }
        revert TooManyAnswers(account, MAX_ANSWERS_PER_ACCOUNT);
    }

    // ---- rounds

    /// @inheritdoc ISamplingRewards
    function round() external view returns (uint256 number, bytes32 seed, uint256 target) {
        Round memory current = _current();
        return (current.number, _seed(current.number), _whole(current.target));
    }

    /// Rounds end with the block whose hash is the seed of the next one: no block knows its own.
    function _number() private view returns (uint256) {
        return (block.number - 1) / roundBlocks;
    }

    function _seed(uint256 number) private view returns (bytes32) {
        return Sampling.seedOf(blockhash(number * roundBlocks), number);
    }

    function _whole(uint256 target) private pure returns (uint256) {
        return (target << TARGET_SHIFT) | ((1 << TARGET_SHIFT) - 1);
    }

    function _isOver(Round memory current) private view returns (bool) {
        return current.number != _number();
    }

    /// Writes down what answers of the last round took, and what those of this one get.
    function _begin(SamplingRewardsStorage storage $, Round memory current) private {
        (Pool memory pool_, Settings memory settings) = ($.pool, $.settings);
        _next(current, pool_, settings);
        $.pool = pool_;
        $.settings.ofDonated = settings.ofDonated;
        emit RoundBegun(current.number, _whole(current.target), current.reward);
    }

    /// The current round, where it has begun or not.
    function _current() private view returns (Round memory current) {
        SamplingRewardsStorage storage $ = _storage();
        current = $.round;
        if (_isOver(current)) _next(current, $.pool, $.settings);
    }

    /// Makes of the last round and what the pool was then the current ones.
    function _next(Round memory current, Pool memory pool_, Settings memory settings) private view {
        uint256 number = _number();
        current.target = uint88(
            _adjusted(current.target, current.answers, current.wanted, number - current.number - 1)
        );
        _subtract(pool_, current, settings.ofDonated);
        uint256 most = 2 * uint256(settings.answersPerRound);
        settings.ofDonated = uint96(Math.min(settings.baseReward, pool_.donated / most));
        current.reward = pool_.fees / settings.feeRatio + settings.ofDonated;
        current.number = uint40(number);
        current.wanted = settings.answersPerRound;
        current.answers = 0;
    }

    /// Takes from the pool what the answers of a round got. There is as much: a round begins with rewards for the most answers it may have.
    function _subtract(Pool memory pool_, Round memory current, uint256 ofDonated) private pure {
        pool_.donated -= uint96(current.answers * ofDonated);
        pool_.fees -= uint96(current.answers * (current.reward - ofDonated));
    }

    /// The target after a round with `answers`, and then `silent` ones without: each moves it by an eighth of itself, times how far the answers were off
    /// in parts of those wanted.
    function _adjusted(uint256 target, uint256 answers, uint256 wanted, uint256 silent) private pure returns (uint256) {
        // The target is below 2^88, the answers are at most twice those wanted, and 9^5 is below 2^16.
        unchecked {
            if (answers > wanted) target -= (target * (answers - wanted)) / wanted / 8;
            else target += (target * (wanted - answers)) / wanted / 8;
            uint256 doublings = Math.min(silent / DOUBLING, MAX_DOUBLINGS);
            uint256 rest = silent % DOUBLING;
            target = ((target * 9 ** rest) >> (3 * rest)) << doublings;
        }
        return Math.min(Math.max(target, MIN_TARGET), MAX_TARGET);
    }

    // ---- money

    /// @inheritdoc ISamplingRewards
    function fund() external payable {
        _checkAmount();
        _storage().pool.fees += uint96(msg.value);
        emit Funded(msg.sender, msg.value);
    }

    /// @inheritdoc ISamplingRewards
    function donate() external payable {
        _checkAmount();
        _storage().pool.donated += uint96(msg.value);
        emit Donated(msg.sender, msg.value);
    }

    function _checkAmount() private view {
        require(address(this).balance <= type(uint96).max, AmountTooLarge(msg.value));
    }

    /// @inheritdoc ISamplingRewards
    function withdraw(address payable to) external returns (uint256 amount) {
        Account storage account = _storage().accounts[msg.sender];
        amount = account.rewards;
        require(amount != 0, NothingToWithdraw());
        account.rewards = 0;
        emit RewardWithdrawn(msg.sender, to, amount);
        require(LowLevelCall.callNoReturn(to, amount, ""), TransferRejected(to, amount));
    }

    // ---- parameters

    /// @inheritdoc ISamplingRewards
    function setParameters(SamplingParameters calldata parameters_) external restricted {
        _setParameters(parameters_);
    }

    function _setParameters(SamplingParameters calldata parameters_) private {
        uint256 answersPerRound = parameters_.answersPerRound;
        _bound("answersPerRound", answersPerRound, 1, MAX_ANSWERS_PER_ROUND);
        // Or a round could pay out more than there is.
        _bound("feeRatio", parameters_.feeRatio, 2 * answersPerRound, type(uint32).max);
        Settings storage settings = _storage().settings;
        settings.answersPerRound = parameters_.answersPerRound;
        settings.feeRatio = parameters_.feeRatio;
        settings.baseReward = parameters_.baseReward;
        emit ParametersChanged(parameters_);
    }

    function _bound(bytes32 name, uint256 value, uint256 min, uint256 max) private pure {
        require(value >= min && value <= max, InvalidParameter(name, value, min, max));
    }

    function _authorizeUpgrade(address) internal override restricted {}

    // ---- reading

    /// @inheritdoc ISamplingRewards
    function parameters() external view returns (SamplingParameters memory) {
        Settings storage settings = _storage().settings;
        return
            SamplingParameters({
                answersPerRound: settings.answersPerRound,
                feeRatio: settings.feeRatio,
                baseReward: settings.baseReward
            });
    }

    /// @inheritdoc ISamplingRewards
    function rewardsOf(address account) external view returns (uint256) {
        return _storage().accounts[account].rewards;
    }

    /// @inheritdoc ISamplingRewards
    function pool() external view returns (uint256 fees, uint256 donated, uint256 nextReward) {
        SamplingRewardsStorage storage $ = _storage();
        Pool memory pool_ = $.pool;
        _subtract(pool_, $.round, $.settings.ofDonated);
        return (pool_.fees, pool_.donated, _current().reward);
    }

    function _storage() private pure returns (SamplingRewardsStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
