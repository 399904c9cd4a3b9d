// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blob} from "./Blob.sol";

/// @title Rewards for holding rows
/// @notice A lottery that only data can win. A round lasts `roundBlocks` blocks; its seed is the hash of the block before its first one. The seed picks
/// one chunk of each row: chunk = keccak256(seed, blobId, row) mod chunks of a row. Its quality is keccak256(seed, member's account, blobId, row, chunk
/// bytes), and wins at or below the target, which follows the number of answers. The reward is the member's, whoever sends the answer.
/// Packed hashes: seed bytes32, blobId bytes32, row uint32, account address.
interface ISamplingRewards {
    /// What the governor may change.
    struct SamplingParameters {
        /// How many answers of a round the target aims at; twice as many are rewarded at most.
        uint16 answersPerRound;
        /// An answer earns this part of the fees that were there when the round began.
        uint32 feeRatio;
        /// Wei that an answer earns beside, from what was donated, as far as there is enough for all of a round.
        uint96 baseReward;
    }

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
    /// With the first answer of a round. Each answer of it earns `reward`.
    event RoundBegun(uint256 indexed round, uint256 target, uint256 reward);
    event Funded(address indexed from, uint256 amount);
    event Donated(address indexed from, uint256 amount);
    event RewardWithdrawn(address indexed account, address to, uint256 amount);
    event ParametersChanged(SamplingParameters parameters);

    error NotCertified(bytes32 batchRoot);
    error CertificateTooOld(bytes32 batchRoot);
    error NotInBatch(bytes32 blobId);
    error NotHolder(uint32 member, uint32 row);
    error InvalidChunk();
    error QualityTooLow(uint256 quality, uint256 target);
    error AlreadyAnswered(uint256 quality);
    /// An account is rewarded for so many answers of a round.
    error TooManyAnswers(address account, uint256 max);
    error RoundFull(uint256 round);
    error NothingToWithdraw();
    error TransferRejected(address to, uint256 amount);
    /// All that is held must fit 96 bits.
    error AmountTooLarge(uint256 amount);
    error InvalidParameter(bytes32 name, uint256 value, uint256 min, uint256 max);

    /// @notice Answers the current round. Anyone. Reverts with what is wrong.
    function submit(Sample calldata sample) external;
    /// @notice Adds `msg.value` to the fees, of which each answer earns a part. Reverts AmountTooLarge.
    function fund() external payable;
    /// @notice Adds `msg.value` to what base rewards are paid from. Reverts AmountTooLarge.
    function donate() external payable;
    /// @notice Pays the caller's rewards out to `to`. Reverts NothingToWithdraw, TransferRejected.
    function withdraw(address payable to) external returns (uint256 amount);
    /// @notice What rounds to come are like. Governor. Reverts InvalidParameter.
    function setParameters(SamplingParameters calldata parameters) external;

    /// @notice Number, seed and target of the round of the block that this is asked at; of the next one's, where that is the pending block.
    function round() external view returns (uint256 number, bytes32 seed, uint256 target);
    function roundBlocks() external view returns (uint64);
    /// @notice Seconds after its certificate in which rows of a blob are rewarded.
    function retention() external view returns (uint64);
    function parameters() external view returns (SamplingParameters memory);
    function rewardsOf(address account) external view returns (uint256);
    /// @notice What is there of fees and of donations, and what an answer of the current round earns (see `round`).
    function pool() external view returns (uint256 fees, uint256 donated, uint256 nextReward);
}
