// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IRefundCredit} from "../lib/IRefundCredit.sol";

/// A perfect subtree of a submission: 2^height sectors of 256 bytes under `root`.
struct SubmissionNode {
    bytes32 root;
    uint256 height;
}

/// What an uploader commits to: `length` bytes, padded as the sum of the nodes' sectors.
struct SubmissionData {
    uint256 length;
    bytes tags;
    SubmissionNode[] nodes;
}

/// A submission and the account it is made by, which must be the caller.
struct Submission {
    SubmissionData data;
    address submitter;
}

/// The state of the log that one mining epoch proves against.
struct EpochContext {
    uint256 epoch;
    uint256 mineStart;
    bytes32 flowRoot;
    uint256 flowLength;
    bytes32 blockDigest;
    bytes32 digest;
}

/// Sectors [start, end) whose seals are bound to one context digest.
struct EpochRange {
    uint128 start;
    uint128 end;
}

/// As EpochRange, with the digest.
struct EpochRangeWithContextDigest {
    uint128 start;
    uint128 end;
    bytes32 digest;
}

/// @title The log of storage submissions
/// @notice Orders submissions, charges for them, and once per epoch fixes the Merkle root that miners prove against.
/// Lengths and positions are in sectors of 256 bytes unless said otherwise.
interface IFlow is IRefundCredit {
    /// A submission was placed at sectors [startPos, startPos + length) of the log and paid for. `submission.length` is in bytes.
    event Submit(
        address indexed sender,
        bytes32 indexed identity,
        uint256 submissionIndex,
        uint256 startPos,
        uint256 length,
        SubmissionData submission
    );

    /// Epoch `index` was opened by `sender`: miners prove against `startMerkleRoot` over `flowLength` sectors of `submissionIndex`
    /// submissions. `context` is the digest that proofs and seals are bound to; keccak256("") if the epoch cannot be mined.
    event NewEpoch(
        address indexed sender,
        uint256 indexed index,
        bytes32 startMerkleRoot,
        uint256 submissionIndex,
        uint256 flowLength,
        bytes32 context
    );

    /// Wei: the price of a sector, what is due, what was sent.
    error NotEnoughFee(uint256 price, uint256 amount, uint256 paid);
    /// No nodes, heights that do not descend strictly within three of the first, or a byte length that does not need this padding.
    error InvalidSubmission();
    error SubmitterMismatch(address submitter, address sender);
    /// The log has `length` sectors of at most 2^64 - 1.
    error FlowFull(uint256 length, uint256 sectors);
    /// A submission begins with `required` gas, most of which it does not use: see Flow.
    error NotEnoughGas(uint256 left, uint256 required);
    error InvalidPeers(address market, address rewards);
    error InvalidEpochLength(uint256 blocks);

    /// @notice Appends a submission. `submission.submitter` must be the caller. Charges exactly what is due and returns the rest.
    /// Opens the current epoch first if it is not open yet. Reverts SubmitterMismatch, InvalidSubmission, NotEnoughFee, FlowFull,
    /// NotEnoughGas, and EntriesPaused during a pause.
    /// @return index position among submissions
    /// @return digest keccak256 of the concatenated node roots
    /// @return startIndex first sector
    /// @return length sectors, without alignment
    function submit(
        Submission calldata submission
    ) external payable returns (uint256 index, bytes32 digest, uint256 startIndex, uint256 length);

    /// @notice As `submit`, with the caller as submitter.
    function submit(
        SubmissionData calldata data
    ) external payable returns (uint256 index, bytes32 digest, uint256 startIndex, uint256 length);

    /// @notice Appends several submissions for one payment.
    function batchSubmit(
        Submission[] calldata submissions
    )
        external
        payable
        returns (
            uint256[] memory indexes,
            bytes32[] memory digests,
            uint256[] memory startIndexes,
            uint256[] memory lengths
        );

    /// @notice As `batchSubmit`, with the caller as submitter.
    function batchSubmit(
        SubmissionData[] calldata datas
    )
        external
        payable
        returns (
            uint256[] memory indexes,
            bytes32[] memory digests,
            uint256[] memory startIndexes,
            uint256[] memory lengths
        );

    /// @notice Opens the epoch of the current block if it is not open yet. Anyone may call; bounded work however late it is.
    function makeContext() external;

    /// @notice As `makeContext`; `count` is accepted for compatibility, one call always catches up.
    function makeContextFixedTimes(uint256 count) external;

    /// @notice Opens the current epoch if needed and returns its context.
    function makeContextWithResult() external returns (EpochContext memory);

    /// @notice Context of the epoch opened last. Its digests are keccak256("") if its block hash was not available: nothing to mine.
    function getContext() external view returns (EpochContext memory);
    /// @notice The sectors that became minable with the context of this digest; all zero if none did.
    function getEpochRange(bytes32 digest) external view returns (EpochRange memory);
    /// @notice The `index`-th range that was closed; all zero if there is none.
    function getEpochRangeHistory(uint256 index) external view returns (EpochRange memory);
    /// @notice The range that contains sector `position`; all zero when no epoch has closed over it yet.
    function queryContextAtPosition(uint128 position) external view returns (EpochRangeWithContextDigest memory);
    /// @notice Time (unix seconds) at which the epoch that received sector `position` was opened; 0 if not yet submitted.
    function openedAtPosition(uint256 position) external view returns (uint256);
    /// @notice Root of the log as it stands now.
    function computeFlowRoot() external view returns (bytes32);

    /// @notice The IStorageMarket that says what is due.
    function market() external view returns (address);
    /// @notice The IStorageRewards that receives it.
    function rewards() external view returns (address);
    /// @notice Number of the epoch opened last.
    function epoch() external view returns (uint256);
    /// @notice First block of epoch 0; epoch e starts at firstBlock + e · blocksPerEpoch.
    function firstBlock() external view returns (uint256);
    /// @notice Blocks of an epoch.
    function blocksPerEpoch() external view returns (uint256);
    /// @notice First sector that is not minable yet.
    function epochStartPosition() external view returns (uint256);
    /// @notice Number of submissions, which is the index of the next one.
    function numSubmissions() external view returns (uint256);
    /// @notice As `numSubmissions`.
    function submissionIndex() external view returns (uint256);
    /// @notice Current length in sectors; the second value is always 0 (nothing is unstaged here).
    function tree() external view returns (uint256 currentLength, uint256 unstagedHeight);
}
