// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice What became of one item of a batch.
enum Outcome {
    Paid,
    /// The balance did not suffice: all of it was paid.
    Partial,
    NoAccount,
    /// The price version does not exist, is not yet in force, or was superseded too long ago.
    PriceNotInForce,
    /// The user's ceiling for the day did not allow more: what it allowed was paid.
    CeilingReached
}

/// @title Settlement: a provider's answers turn into its earnings
/// @notice Amounts in wei, times in unix seconds.
interface IInferenceSettlement {
    /// `charged[i]` wei were taken for `items[i]`, with `outcomes[i]` (one byte each, an Outcome).
    event BatchSettled(
        address indexed provider,
        uint64 indexed nonce,
        bytes32 requestsHash,
        bytes32[] items,
        uint128[] charged,
        bytes outcomes
    );
    /// `provider` can settle at most `weiPerDay` (0 = any amount) in a day from `effectiveAt` on.
    event CeilingSet(address indexed user, address indexed provider, uint256 weiPerDay, uint256 effectiveAt);

    error InvalidTEESignature(string reason);
    error NoSettlementsProvided();
    error TooManySettlements(uint256 count, uint256 max);
    error NonceNotNew(address provider, uint64 nonce, uint64 last);
    /// Too far beyond the last, or above 2^48 - 1.
    error NonceTooLarge(uint64 nonce, uint64 max);

    /// @notice Charges users for what a batch of receipts says. Anyone may send it: the signature says whose it is. An item is
    /// user (160 bits) ‖ input units (40) ‖ output units (40) ‖ price version (16), from the most significant bit.
    /// The signature is one of SettlementBatch (EIP-712) by the provider's signer, or a former one within the lock time after its successor came;
    /// it must be attested, or have been until a lock time ago. Reverts NoSettlementsProvided, TooManySettlements, NonceNotNew, NonceTooLarge,
    /// InvalidTEESignature, SignerNotAttested, and InsufficientStake while the provider's stake is not all bonded. No item makes it revert.
    function settleBatch(
        address provider,
        uint64 nonce,
        bytes32 requestsHash,
        bytes32[] calldata items,
        bytes calldata signature
    ) external returns (bytes memory outcomes);
    /// @notice What a signer signs: the EIP-712 digest of a SettlementBatch.
    function batchDigest(
        address provider,
        uint64 nonce,
        bytes32 requestsHash,
        bytes32 itemsHash
    ) external view returns (bytes32);
    /// @notice The last nonce that was settled.
    function lastNonce(address provider) external view returns (uint64);
    /// @notice Whether the batch was settled, and not skipped, within the last week: then it can be disputed. One that is older may
    /// be disputable as well, for three weeks at most.
    function isDisputable(address provider, uint64 nonce) external view returns (bool);

    /// @notice Limits what `provider` can settle from the caller's sub-account in a day (UTC); 0 = no limit. To raise or lift it takes effect at once;
    /// to lower it, after the lock time, as the provider may have served already what it is about to charge.
    function setCeiling(address provider, uint96 weiPerDay) external;
    /// @notice The ceiling in force (0 = none), and what was charged today.
    function ceiling(address user, address provider) external view returns (uint256 weiPerDay, uint256 spentToday);
}
