// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blob} from "./Blob.sol";

/// @title Show me your row
/// @notice Anyone may ask a member that signed a batch for a chunk of a row it must hold. It answers on chain in time, and earns the challenger's deposit,
/// or loses stake. The arbiter of the signers' bonds. Amounts in wei, times in seconds.
interface IAvailabilityChallenges {
    struct ChallengeParameters {
        uint128 deposit;
        uint96 penalty;
        uint64 answerTime;
        uint64 retention;
    }

    struct Question {
        bytes32 batchRoot;
        /// What the certificate listed, to show that the member signed.
        bytes absent;
        uint256 blobIndex;
        bytes32[] blobProof;
        Blob blob;
        uint32 member;
        uint32 row;
        /// Of 512 bytes; the last one of a row may be shorter.
        uint32 chunk;
    }

    struct Challenge {
        address challenger;
        /// Of the penalty, as far as it was there and free.
        uint96 locked;
        address account;
        uint64 deadline;
        uint32 row;
        /// Whose stake is locked.
        bytes32 bond;
        bytes32 rowRoot;
        uint32 chunk;
        uint32 rowSize;
        uint8 log2T;
    }

    event ChallengeOpened(
        uint256 indexed id,
        address indexed account,
        address indexed challenger,
        bytes32 blobId,
        uint32 row,
        uint32 chunk,
        uint64 deadline
    );
    event ChallengeAnswered(uint256 indexed id, address indexed account);
    event ChallengeMissed(uint256 indexed id, address indexed account, uint256 slashed, uint256 toChallenger);
    event DepositWithdrawn(address indexed account, address to, uint256 amount);

    error WrongDeposit(uint256 sent, uint256 deposit);
    error NotCertified(bytes32 batchRoot);
    error CertificateTooOld(bytes32 batchRoot);
    /// The member is in the list of those that did not, or the list is not the certificate's.
    error DidNotSign(uint32 member);
    /// Also where no blob can have that shape.
    error NotInBatch(bytes32 blobId);
    error NotHolder(uint32 member, uint32 row);
    error NoSuchChunk(uint32 chunk);
    error AlreadyOpen(uint256 id);
    error UnknownChallenge(uint256 id);
    error TooLate(uint64 deadline);
    error TooEarly(uint64 deadline);
    error InvalidChunk();
    error NothingToWithdraw();
    error TransferRejected(address to, uint256 amount);
    error InvalidParameter(bytes32 name, uint256 value, uint256 min, uint256 max);

    /// @notice Opens a challenge with exactly `deposit` wei. What the signer would lose is locked in its bond. Reverts with what is wrong.
    function open(Question calldata question) external payable returns (uint256 id);
    /// @notice Answers with the bytes of the chunk and its path to the row root. Anyone, until the deadline. Reverts UnknownChallenge, TooLate, InvalidChunk.
    function answer(uint256 id, bytes calldata chunk, bytes32[] calldata path) external;
    /// @notice After the deadline, anyone: takes the stake, half of it for the challenger. Reverts UnknownChallenge, TooEarly.
    function conclude(uint256 id) external;
    /// @notice Pays out deposits that the caller earned or got back. Reverts NothingToWithdraw, TransferRejected.
    function withdraw(address payable to) external returns (uint256 amount);

    /// @notice The challenge as it was opened. Reverts UnknownChallenge, also once it is answered or concluded.
    function challenge(uint256 id) external view returns (Challenge memory);
    /// @notice What a challenge of `account` for that chunk is called; one at a time.
    function challengeId(bytes32 blobId, address account, uint32 row, uint32 chunk) external pure returns (uint256);
    /// @notice Wei that `account` can withdraw.
    function depositsOf(address account) external view returns (uint256);
    /// @notice Wei that a challenge costs until it is concluded, and what an answer earns.
    function deposit() external view returns (uint256);
    /// @notice Seconds to answer.
    function answerTime() external view returns (uint64);
    /// @notice Seconds after its certificate in which a blob must be held.
    function retention() external view returns (uint64);
    /// @notice Wei at stake in one challenge.
    function penalty() external view returns (uint96);
}
