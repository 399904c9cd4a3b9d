// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EpochContext} from "./IFlow.sol";

/// The part of the log that a miner mines, in sectors; shards take every numShards-th load of 1024 sectors.
struct RecallRange {
    uint256 startPosition;
    uint256 mineLength;
    uint64 shardId;
    uint64 shardMask;
}

/// A proof of random access: one seal of 4096 bytes that the nonce selected, and its path to the flow root.
struct PoraAnswer {
    bytes32 contextDigest;
    bytes32 nonce;
    bytes32 minerId;
    RecallRange range;
    uint256 recallPosition;
    uint256 sealOffset;
    bytes32 sealedContextDigest;
    bytes32[128] sealedData;
    bytes32[] merkleProof;
}

/// What a miner works on.
struct WorkerContext {
    EpochContext context;
    uint256 poraTarget;
    bytes32 subtaskDigest;
    uint64 maxShards;
}

/// The rules of mining. Blocks and epochs are those of the chain and of the log.
struct PoraParameters {
    /// Expected number of seals tried per answer at the start; the target is (2^256 - 1) / difficulty.
    uint256 difficulty;
    /// Blocks for which a subtask may be answered.
    uint256 targetMineBlocks;
    /// Answers per epoch that the difficulty aims at; twice as many are accepted.
    uint256 targetSubmissions;
    /// An epoch moves the target by one n-th of the way.
    uint256 difficultyAdjustRatio;
    /// Shards that a miner may split the log into; a power of two.
    uint256 maxShards;
    /// Groups that miners are spread over, one after the other.
    uint256 nSubtasks;
    /// Blocks between the starts of two subtasks.
    uint256 subtaskInterval;
    /// The difficulty does not fall below this.
    uint256 minDifficulty;
}

/// @title Proof of random access
/// @notice Registers miners, checks their answers and has them rewarded.
interface IPoraMine {
    event NewMinerId(bytes32 indexed minerId, address indexed beneficiary);
    event BeneficiaryTransferred(bytes32 indexed minerId, address indexed from, address indexed to);
    event NewSubmission(uint256 indexed epoch, bytes32 indexed minerId, uint256 epochIndex, uint256 recallPosition);
    event TargetAdjusted(uint256 indexed epoch, uint256 poraTarget);
    /// Valid from the next epoch that is mined.
    event ScheduleSet(uint256 targetMineBlocks, uint256 nSubtasks, uint256 subtaskInterval);
    /// Valid from the next epoch that is mined.
    event TargetSubmissionsSet(uint256 targetSubmissions);
    event DifficultyAdjustRatioSet(uint256 ratio);
    event MinDifficultySet(uint256 minDifficulty);
    event MaxShardsSet(uint256 maxShards);

    error UnknownMiner(bytes32 minerId);
    error NotBeneficiary(bytes32 minerId, address caller);
    error MinerIdTaken(bytes32 minerId);
    error ZeroBeneficiary();
    error TooEarly(uint256 startBlock);
    error TooLate(uint256 endBlock);
    error BlockHashUnavailable(uint256 blockNumber);
    error WrongContext(bytes32 given, bytes32 current);
    error NotMinable(uint256 epoch);
    error EpochFull(uint256 epoch);
    error InvalidRange();
    error TooManyShards(uint256 shards, uint256 max);
    error InvalidSealedContext(bytes32 digest);
    error UnexpectedMerkleProofLength(uint256 length);
    error InconsistentMerkleRoot(bytes32 computed, bytes32 expected);
    error ZeroSeal(uint256 recallPosition);
    error WrongSealOffset(uint256 sealOffset);
    error WrongRecallPosition(uint256 given, uint256 expected);
    error QualityNotReached(uint256 quality, uint256 target);
    error AlreadySubmitted(bytes32 quality);
    error InvalidParameter(bytes32 name, uint256 value, uint256 min, uint256 max);

    /// @notice Checks an answer and credits its reward to the miner's beneficiary. Anyone may send it; opens the current epoch if needed.
    /// The checks run in this order, each with its own error: UnknownMiner; TooEarly, TooLate, BlockHashUnavailable (the miner's subtask);
    /// WrongContext, NotMinable; EpochFull; InvalidRange; InvalidSealedContext; TooManyShards; WrongSealOffset;
    /// UnexpectedMerkleProofLength, ZeroSeal, InconsistentMerkleRoot; WrongRecallPosition; QualityNotReached; AlreadySubmitted.
    function submit(PoraAnswer calldata answer) external;
    /// @notice Registers a miner id for `beneficiary`. The id is bound to this contract, the chain, the previous block, the caller and
    /// `seed`, so an answer is worth nothing anywhere else. Reverts ZeroBeneficiary, MinerIdTaken.
    function requestMinerId(address beneficiary, uint64 seed) external returns (bytes32 minerId);
    /// @notice Moves the rewards of `minerId` to `to`. Only its beneficiary: NotBeneficiary; ZeroBeneficiary.
    function transferBeneficial(address to, bytes32 minerId) external;
    /// @notice The work of `minerId` now, opening the current epoch first if needed; for eth_call. `poraTarget` is 0 and `subtaskDigest` empty
    /// when there is nothing to mine: unknown miner, outside the miner's subtask, epoch not minable or full, or less than one load stored.
    function computeWorkerContext(bytes32 minerId) external returns (WorkerContext memory);

    /// @notice When answers are due. Restricted; valid from the next epoch that is mined. All subtasks must end within an epoch and within the
    /// reach of block hashes: InvalidParameter.
    function setSchedule(uint256 targetMineBlocks, uint256 nSubtasks, uint256 subtaskInterval) external;
    /// @notice Answers per epoch to aim at, 1 to 32,767. Restricted; valid from the next epoch that is mined.
    function setTargetSubmissions(uint256 targetSubmissions) external;
    /// @notice Share of the way that an epoch moves the target, 1/1 to 1/255. Restricted.
    function setDifficultyAdjustRatio(uint256 ratio) external;
    /// @notice Floor of the difficulty, at least 1. Restricted; respected from the next adjustment on.
    function setMinDifficulty(uint256 minDifficulty) external;
    /// @notice Most shards, a power of two up to 1,024. Restricted.
    function setMaxShards(uint256 maxShards) external;

    /// @notice The log that is mined.
    function flow() external view returns (address);
    /// @notice Who pays for answers; zero if nobody does.
    function rewards() external view returns (address);
    /// @notice To whom a miner id earns; zero if it was never requested.
    function beneficiaries(bytes32 minerId) external view returns (address);
    /// @notice Target of the epoch mined last; that of an epoch in progress is in `computeWorkerContext`.
    function poraTarget() external view returns (uint256);
    /// @notice Most shards that the log can be divided into by a miner.
    function maxShards() external view returns (uint64);
    /// @notice Answers that the epoch mined last has had.
    function currentSubmissions() external view returns (uint256);
    /// @notice The last epoch that had an answer.
    function lastMinedEpoch() external view returns (uint256);
    /// @notice Blocks within which an epoch should have its answers.
    function targetMineBlocks() external view returns (uint256);
    /// @notice Answers that an epoch aims at; it accepts twice as many.
    function targetSubmissions() external view returns (uint256);
    /// @notice Subtasks of an epoch, one after the other.
    function nSubtasks() external view returns (uint256);
    /// @notice Blocks between the starts of two subtasks.
    function subtaskInterval() external view returns (uint256);
    /// @notice By how much of the deviation an epoch moves the target: one part in so many.
    function difficultyAdjustRatio() external view returns (uint256);
    /// @notice The lowest difficulty that adjustment can reach.
    function minDifficulty() external view returns (uint256);
}
