// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blob} from "./Blob.sol";

/// @title Rewards for holding rows
/// @notice A lottery that only data can win. A round lasts `roundBlocks` blocks; its seed is the hash of its first block. The seed picks one chunk of each
/// row: chunk = keccak256(seed, blobId, row) mod chunks of a row. Its quality is keccak256(seed, member's account, blobId, row, chunk bytes), and wins at
/// or below the target, which follows the number of answers. The reward is the member's, whoever sends the answer.
/// Packed hashes: seed bytes32, blobId bytes32, row uint32, account address.
interface ISamplingRewards {
    struct Sample {
        bytes32 batchRoot;
        /// Where the blob is in the batch.
        uint256 blobIndex;
        bytes32[] blobProof;
        Blob blob;
        /// Index of the member in the epoch of the certificate.
        uint32 member;
        uint32 row;
        /// The chunk that the seed picked, whole.
        bytes chunk;
        /// From the chunk to the blob's row root: siblings within the row first.
        bytes32[] path;
    }

    event SampleRewarded(
        uint256 indexed round,
        address indexed account,
        bytes32 indexed blobId,
        uint32 row,
        uint256 quality,
        uint256 reward
    );
    event TargetChanged(uint256 round, uint256 target);
    event Funded(address indexed from, uint256 amount);
    event RewardWithdrawn(address indexed account, address to, uint256 amount);

    error NotCertified(bytes32 batchRoot);
    error CertificateTooOld(bytes32 batchRoot);
    error NotInBatch(bytes32 blobId);
    error NotHolder(uint32 member, uint32 row);
    error InvalidChunk();
    error QualityTooLow(uint256 quality, uint256 target);
    /// Answers of one account in one round come in ascending order of quality, so that none counts twice.
    error NotAscending(uint256 quality, uint256 last);
    error RoundFull(uint256 round);
    error NothingToWithdraw();
    error TransferRejected(address to, uint256 amount);

    /// @notice Answers the current round. Anyone. Reverts with what is wrong.
    function submit(Sample calldata sample) external;
    /// @notice Adds `msg.value` to what is paid out as rewards.
    function fund() external payable;
    /// @notice Pays the caller's rewards out to `to`. Reverts NothingToWithdraw, TransferRejected.
    function withdraw(address payable to) external returns (uint256 amount);

    /// @notice Number, seed and target of the round of the next block.
    function round() external view returns (uint256 number, bytes32 seed, uint256 target);
    function roundBlocks() external view returns (uint64);
    function rewardsOf(address account) external view returns (uint256);
    /// @notice What is there for rewards, and what the next answer earns.
    function pool() external view returns (uint256 available, uint256 nextReward);
}
