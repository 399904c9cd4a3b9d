// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {BatchTree} from "./BatchTree.sol";
import {BlobIds} from "./BlobIds.sol";
import {IDACertificates} from "./IDACertificates.sol";
import {IDAEpochs} from "./IDAEpochs.sol";
import {ISamplingRewards} from "./ISamplingRewards.sol";
import {RowTree} from "./RowTree.sol";

/// @title Rewards for holding rows
/// @notice Behind a proxy, as how rewards are weighed will evolve. Its balance is the fees, what was donated, and all rewards not withdrawn.
/// @dev Never paused: an answer is a claim to money already earned.
contract SamplingRewards is ISamplingRewards, AccessManagedUpgradeable, UUPSUpgradeable {
    /// One slot, that every answer changes.
    struct Round {
        uint40 number;
        uint16 answers;
        uint16 answersPerRound;
        uint96 baseReward;
        /// The upper bits of the target; the others are ones.
        uint88 target;
    }

    /// One slot, that every answer changes. No amount overflows, as the balance of the contract fits 96 bits.
    struct Pool {
        uint96 fees;
        uint96 donated;
        uint32 feeRatio;
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
    }

    // ---- answers

    /// @inheritdoc ISamplingRewards
    function submit(Sample calldata sample) external {
        (bytes32 blobId, address account) = _check(sample);
        SamplingRewardsStorage storage $ = _storage();
        Round memory current = $.round;
        if (_roll(current)) emit TargetChanged(current.number, _whole(current.target));
        bytes32 seed = _seed(current.number);
        _checkChunk(sample, seed, blobId);
        uint256 quality = uint256(keccak256(abi.encodePacked(seed, account, blobId, sample.row, sample.chunk)));
        require(quality <= _whole(current.target), QualityTooLow(quality, _whole(current.target)));
        require(current.answers < 2 * uint256(current.answersPerRound), RoundFull(current.number));
        unchecked {
            ++current.answers;
        }
        $.round = current;
        uint256 reward = _take($.pool, current.baseReward);
        _credit($.accounts[account], account, current.number, quality, reward);
        emit SampleRewarded(current.number, account, blobId, sample.row, quality, reward);
    }

    /// That the member holds the row, as far as this is not a matter of the round.
    function _check(Sample calldata sample) private view returns (bytes32 blobId, address account) {
        (uint64 epoch, uint64 certifiedAt) = IDACertificates(dataAvailability).certificateOf(sample.batchRoot);
        require(certifiedAt != 0, NotCertified(sample.batchRoot));
        require(block.timestamp <= certifiedAt + retention, CertificateTooOld(sample.batchRoot));
        blobId = BlobIds.idOf(sample.blob);
        require(
            BlobIds.isValid(sample.blob) &&
                BatchTree.verify(sample.batchRoot, blobId, sample.blobIndex, sample.blobProof),
            NotInBatch(blobId)
        );
        IDAEpochs epochs = IDAEpochs(dataAvailability);
        require(
            epochs.holds(epoch, sample.member, blobId, sample.blob.log2K, sample.row),
            NotHolder(sample.member, sample.row)
        );
        account = epochs.members(epoch, sample.member, 1)[0].account;
    }

    function _checkChunk(Sample calldata sample, bytes32 seed, bytes32 blobId) private view {
        uint256 rowSize = sample.blob.rowSize;
        uint256 index = uint256(keccak256(abi.encodePacked(seed, blobId, sample.row))) % RowTree.chunksOf(rowSize);
        require(
            RowTree.verify(
                sample.blob.rowRoot,
                sample.blob.log2T,
                rowSize,
                sample.row,
                index,
                sample.chunk,
                sample.path
            ),
            InvalidChunk()
        );
    }

    /// Takes what an answer earns from the pool: a part of the fees, and the base reward as far as there is enough.
    function _take(Pool storage pool_, uint256 baseReward) private returns (uint256 reward) {
        Pool memory current = pool_;
        (uint256 ofFees, uint256 ofDonated) = _reward(current, baseReward);
        unchecked {
            current.fees -= uint96(ofFees);
            current.donated -= uint96(ofDonated);
            pool_.fees = current.fees;
            pool_.donated = current.donated;
            return ofFees + ofDonated;
        }
    }

    function _reward(Pool memory current, uint256 baseReward) private pure returns (uint256 ofFees, uint256 ofDonated) {
        return (current.fees / current.feeRatio, Math.min(baseReward, current.donated));
    }

    function _credit(Account storage $, address account, uint256 number, uint256 quality, uint256 reward) private {
        Account memory current = $;
        uint256 marks = current.round == number ? current.marks : 0;
        current.marks = uint120(_mark(marks, account, quality));
        current.round = uint40(number);
        unchecked {
            current.rewards += uint96(reward);
        }
        $.rewards = current.rewards;
        $.round = current.round;
        $.marks = current.marks;
    }

    /// The marks with that of one more answer.
    function _mark(uint256 marks, address account, uint256 quality) private pure returns (uint256) {
        unchecked {
            uint256 mark = 1 + (quality % MARKS);
            for (uint256 i = 0; i < MAX_ANSWERS_PER_ACCOUNT; ++i) {
                uint256 shift = i * MARK_BITS;
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
        Round memory current = _storage().round;
        _roll(current);
        return (current.number, _seed(current.number), _whole(current.target));
    }

    /// Rounds end with the block whose hash is the seed of the next one: no block knows its own.
    function _number() private view returns (uint256) {
        return (block.number - 1) / roundBlocks;
    }

    function _seed(uint256 number) private view returns (bytes32) {
        return keccak256(abi.encodePacked(blockhash(number * roundBlocks), number));
    }

    function _whole(uint256 target) private pure returns (uint256) {
        return (target << TARGET_SHIFT) | ((1 << TARGET_SHIFT) - 1);
    }

    /// Begins the current round, unless that was done.
    function _roll(Round memory $) private view returns (bool begun) {
        uint256 number = _number();
        if (number == $.number) return false;
        $.target = uint88(_adjusted($.target, $.answers, $.answersPerRound, number - $.number - 1));
        $.number = uint40(number);
        $.answers = 0;
        return true;
    }

    /// The target after a round with `answers`, and then `silent` ones without: each moves it by an eighth of itself, times how far the answers were off
    /// in parts of those wanted.
    function _adjusted(uint256 target, uint256 answers, uint256 wanted, uint256 silent) private pure returns (uint256) {
        // The target is below 2^88, and so are all factors; 9^5 is below 2^16.
        unchecked {
            // More than twice as many were there where fewer are wanted since.
            if (answers > wanted) target -= (target * Math.min(answers - wanted, wanted)) / wanted / 8;
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
        _bound("answersPerRound", parameters_.answersPerRound, 1, MAX_ANSWERS_PER_ROUND);
        _bound("feeRatio", parameters_.feeRatio, 1, type(uint32).max);
        SamplingRewardsStorage storage $ = _storage();
        $.round.answersPerRound = parameters_.answersPerRound;
        $.round.baseReward = parameters_.baseReward;
        $.pool.feeRatio = parameters_.feeRatio;
        emit ParametersChanged(parameters_);
    }

    function _bound(bytes32 name, uint256 value, uint256 min, uint256 max) private pure {
        require(value >= min && value <= max, InvalidParameter(name, value, min, max));
    }

    function _authorizeUpgrade(address) internal override restricted {}

    // ---- reading

    /// @inheritdoc ISamplingRewards
    function parameters() external view returns (SamplingParameters memory) {
        SamplingRewardsStorage storage $ = _storage();
        return
            SamplingParameters({
                answersPerRound: $.round.answersPerRound,
                feeRatio: $.pool.feeRatio,
                baseReward: $.round.baseReward
            });
    }

    /// @inheritdoc ISamplingRewards
    function rewardsOf(address account) external view returns (uint256) {
        return _storage().accounts[account].rewards;
    }

    /// @inheritdoc ISamplingRewards
    function pool() external view returns (uint256 available, uint256 nextReward) {
        SamplingRewardsStorage storage $ = _storage();
        (uint256 ofFees, uint256 ofDonated) = _reward($.pool, $.round.baseReward);
        return (uint256($.pool.fees) + $.pool.donated, ofFees + ofDonated);
    }

    /// @inheritdoc ISamplingRewards
    function donated() external view returns (uint256) {
        return _storage().pool.donated;
    }

    function _storage() private pure returns (SamplingRewardsStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
