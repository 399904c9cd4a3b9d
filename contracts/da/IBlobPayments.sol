// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Paying for blobs
/// @notice Payers keep a balance here and promise a fee for one blob; a promise is worth something only once the blob is in a certified batch. Part of
/// the fee is the disperser's, the rest rewards signers. Amounts in wei, times in unix seconds.
interface IBlobPayments {
    /// EIP-712 type of the same name and fields; domain: "Perigee Data Availability", version "1", this chain and contract.
    struct PaymentPromise {
        address payer;
        /// Who may redeem it.
        address disperser;
        bytes32 blobId;
        uint128 fee;
        /// Any number the payer never used before: a promise counts once.
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
        WrongDisperser,
        Expired,
        NonceUsed,
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
    error InsufficientBalance(uint256 available, uint256 requested);
    error NotDue(uint64 withdrawableAt);
    error NotCertified(bytes32 batchRoot);
    error TransferRejected(address to, uint256 amount);

    /// @notice Adds `msg.value` to the balance of `account`. Reverts ZeroAmount.
    function deposit(address account) external payable;
    /// @notice Asks `amount` back; it can be withdrawn after `lockTime`, in which promises made before can be redeemed. Reverts ZeroAmount, InsufficientBalance.
    function requestWithdrawal(uint128 amount) external;
    /// @notice Pays out what was asked back and is due. Reverts NotDue, ZeroAmount, TransferRejected.
    function withdraw(address payable to) external returns (uint256 amount);
    /// @notice Redeems promises for blobs of one certified batch; what can't be redeemed is refused with its outcome and changes nothing. Reverts NotCertified.
    function redeem(bytes32 batchRoot, Redemption[] calldata redemptions) external returns (Outcome[] memory outcomes);

    /// @notice The least a promise for a blob must offer: blobPrice + pricePerKiB for each begun KiB of K·rowSize.
    function priceOf(uint8 log2K, uint32 rowSize) external view returns (uint256);
    function balanceOf(address account) external view returns (Balance memory);
    function isNonceUsed(address payer, uint64 nonce) external view returns (bool);
    /// @notice Seconds between asking money back and withdrawing it, and the longest a promise may be valid for signers to accept it.
    function lockTime() external view returns (uint64);
}
