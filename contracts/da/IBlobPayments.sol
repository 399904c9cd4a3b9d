// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Paying for blobs
/// @notice Payers keep a balance here and promise a fee for one blob; a promise is worth something only once the blob is in a certified batch. Part of
/// the fee is the disperser's, the rest rewards signers. Amounts in wei, times in unix seconds.
interface IBlobPayments {
    struct PaymentParameters {
        uint128 blobPrice;
        uint128 pricePerKiB;
        /// Seconds.
        uint64 lockTime;
        /// Basis points of a fee that are the disperser's.
        uint16 disperserShare;
    }

    /// EIP-712 type of the same name and fields; domain: "Perigee Data Availability", version "1", this chain and contract.
    struct PaymentPromise {
        address payer;
        /// Whose part of the fee is, whoever redeems the promise.
        address disperser;
        bytes32 blobId;
        uint128 fee;
        /// Any number: tells promises apart that are equal otherwise. Each counts once.
        uint64 nonce;
        /// Last second it can be redeemed.
        uint64 deadline;
    }

    struct Redemption {
        PaymentPromise terms;
        /// Of the payer: ECDSA or ERC-1271; empty if the payer is the sender.
        bytes signature;
        /// Where the blob is in the batch.
        uint256 index;
        bytes32[] proof;
    }

    enum Outcome {
        Redeemed,
        Expired,
        /// The batch was certified before a promise with such a deadline can have been made (see `lockTime`).
        CertificateTooOld,
        AlreadyRedeemed,
        NotInBatch,
        InvalidSignature,
        InsufficientBalance
    }

    struct Balance {
        uint128 available;
        /// Asked back; still pays promises until it is withdrawn.
        uint128 withdrawing;
        uint64 withdrawableAt;
    }

    event Deposited(address indexed account, address indexed payer, uint256 amount);
    event WithdrawalRequested(address indexed account, uint256 amount, uint64 withdrawableAt);
    event Withdrawn(address indexed account, address to, uint256 amount);
    event PromiseRedeemed(
        bytes32 indexed blobId,
        address indexed payer,
        address indexed disperser,
        uint64 nonce,
        uint128 fee
    );
    event PromiseRefused(bytes32 indexed blobId, address indexed payer, uint64 nonce, Outcome outcome);
    event PriceChanged(uint128 blobPrice, uint128 pricePerKiB);

    error ZeroAmount();
    /// All balances together must fit 96 bits.
    error DepositTooLarge(uint256 amount);
    error InsufficientBalance(uint256 available, uint256 requested);
    error NotDue(uint64 withdrawableAt);
    error NotCertified(bytes32 batchRoot);
    error TransferRejected(address to, uint256 amount);
    error InvalidParameter(bytes32 name, uint256 value, uint256 min, uint256 max);

    /// @notice Adds `msg.value` to the balance of `account`. Reverts ZeroAmount, DepositTooLarge.
    function deposit(address account) external payable;
    /// @notice Asks `amount` back; it can be withdrawn after `lockTime`, in which promises made before can be redeemed. What is asked back while an
    /// earlier request waits joins it, and both wait anew. Reverts ZeroAmount, InsufficientBalance.
    function requestWithdrawal(uint128 amount) external;
    /// @notice Pays out what was asked back and is due. Reverts NotDue, ZeroAmount, TransferRejected.
    function withdraw(address payable to) external returns (uint256 amount);
    /// @notice Redeems promises for blobs of one certified batch; what can't be redeemed is refused with its outcome and changes nothing. The disperser's
    /// part is added to its balance. Anyone: a disperser that pays itself must not be able to leave the signers their part owing. Reverts NotCertified.
    function redeem(bytes32 batchRoot, Redemption[] calldata redemptions) external returns (Outcome[] memory outcomes);
    /// @notice Changes what signers ask for from now on. Governor.
    function setPrices(uint128 blobPrice, uint128 pricePerKiB) external;

    /// @notice The least a promise for a blob must offer for signers to accept it: blobPrice + pricePerKiB for each begun KiB of K·rowSize.
    function priceOf(uint8 log2K, uint32 rowSize) external view returns (uint256);
    function prices() external view returns (uint128 blobPrice, uint128 pricePerKiB);
    function balanceOf(address account) external view returns (Balance memory);
    /// @notice What the payer signs.
    function promiseHash(PaymentPromise calldata terms) external view returns (bytes32);
    function isRedeemed(bytes32 hash) external view returns (bool);
    /// @notice Seconds between asking money back and withdrawing it, and the longest a promise may be valid for signers to accept it.
    function lockTime() external view returns (uint64);
    /// @notice Basis points of a fee that are the disperser's; the rest, with what rounding leaves, rewards signers.
    function disperserShare() external view returns (uint16);
}
