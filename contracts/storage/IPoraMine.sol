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

/// @title Proof of random access
/// @notice Registers miners, checks their answers and has them rewarded.
interface IPoraMine {
    event NewMinerId(bytes32 indexed minerId, address indexed beneficiary);
    event BeneficiaryTransferred(bytes32 indexed minerId, address indexed from, address indexed to);
    event NewSubmission(uint256 indexed epoch, bytes32 indexed minerId, uint256 epochIndex, uint256 recallPosition);
    event TargetAdjusted(uint256 indexed epoch, uint256 poraTarget);

    error UnknownMiner(bytes32 minerId);
    error NotBeneficiary(bytes32 minerId, address caller);
    error MinerIdTaken(bytes32 minerId);
    error TooEarly(uint256 startBlock);
    error TooLate(uint256 endBlock);
    error WrongContext(bytes32 given, bytes32 current);
    error NotMinable(uint256 epoch);
    error EpochFull(uint256 epoch);
    error InvalidRange();
    error TooManyShards(uint256 shards, uint256 max);
    error InvalidSealedContext(bytes32 digest);
    error InconsistentMerkleRoot(bytes32 computed, bytes32 expected);
    error UnexpectedMerkleProofLength(uint256 length);
    error WrongRecallPosition(uint256 given, uint256 expected);
    error WrongSealOffset(uint256 sealOffset);
    error ZeroSeal(uint256 recallPosition);
    error QualityNotReached(uint256 quality, uint256 target);
    error AlreadySubmitted(bytes32 answerId);

    /// @notice Checks an answer and credits its reward to the miner's beneficiary. Anyone may send it.
    function submit(PoraAnswer calldata answer) external;
    /// @notice Registers a miner id for `beneficiary`, bound to the previous block, the caller and `seed`.
    function requestMinerId(address beneficiary, uint64 seed) external returns (bytes32 minerId);
    /// @notice Moves the rewards of `minerId` to `to`. Only its beneficiary.
    function transferBeneficial(address to, bytes32 minerId) external;
    /// @notice The work of `minerId` now, opening the current epoch first if needed; for eth_call. `poraTarget` is 0 when there is nothing to mine.
    function computeWorkerContext(bytes32 minerId) external returns (WorkerContext memory);
    function beneficiaries(bytes32 minerId) external view returns (address);
    function poraTarget() external view returns (uint256);
    function maxShards() external view returns (uint64);
    function targetMineBlocks() external view returns (uint256);
    function targetSubmissions() external view returns (uint256);
    function nSubtasks() external view returns (uint256);
    function subtaskInterval() external view returns (uint256);
}
