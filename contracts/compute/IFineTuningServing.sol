// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IServingAccounts, Refund} from "./IServingAccounts.sol";
import {IServingProviders} from "./IServingProviders.sol";

// Returned or passed, in the order of the public SDK.
// solhint-disable gas-struct-packing

/// @notice What a provider offers to train on.
struct Quota {
    uint256 cpuCount;
    /// GB.
    uint256 nodeMemory;
    uint256 gpuCount;
    /// GB.
    uint256 nodeStorage;
    string gpuType;
}

struct FineTuningService {
    address provider;
    string url;
    Quota quota;
    /// Wei.
    uint256 pricePerToken;
    bool occupied;
    string[] models;
    address teeSignerAddress;
    /// The registry says that the signer is attested, and the bond is there.
    bool teeSignerAcknowledged;
}

/// @notice A tuned model that was delivered.
struct Deliverable {
    /// UUID of the task.
    string id;
    /// 32 bytes.
    bytes modelRootHash;
    /// Key of the model, encrypted to the user (129 bytes); empty until the fee is paid in full.
    bytes encryptedSecret;
    bool acknowledged;
    /// Unix seconds of the delivery.
    uint248 timestamp;
    /// Nothing is left to be paid for it.
    bool settled;
}

struct FineTuningAccount {
    address user;
    address provider;
    /// Of the last settlement.
    uint256 nonce;
    uint256 balance;
    uint256 pendingRefund;
    Refund[] refunds;
    string additionalInfo;
    /// The oldest first.
    Deliverable[] deliverables;
    uint256 validRefundsLength;
    /// Where in `deliverables` the oldest is: 0.
    uint256 deliverablesHead;
    uint256 deliverablesCount;
    bool acknowledged;
}

struct FineTuningAccountSummary {
    address user;
    address provider;
    uint256 nonce;
    uint256 balance;
    uint256 pendingRefund;
    string additionalInfo;
    uint256 validRefundsLength;
    uint256 deliverablesCount;
    bool acknowledged;
}

/// @notice What a provider presents to be paid for a deliverable.
struct VerifierInput {
    string id;
    /// 129 bytes; empty where the user did not acknowledge.
    bytes encryptedSecret;
    bytes modelRootHash;
    /// Above that of the account's last settlement; 48 bits.
    uint256 nonce;
    /// EIP-712, of Settlement(address provider,address user,string id,bytes32 modelRootHash,uint256 fee,uint256 nonce,bytes encryptedSecret) in the
    /// domain "Perigee Fine-Tuning" "1", by the signer of the deliverable or the one that the provider has now.
    bytes signature;
    /// Wei: the fee that was stated at delivery.
    uint256 taskFee;
    address user;
}

/// @notice Where a deliverable is.
enum DeliverableState {
    None,
    /// Waits for the user.
    Delivered,
    /// The user agreed to the fee: it is due in exchange for the secret.
    Acknowledged,
    /// The user did not answer in time: the provider took its part for the work, and keeps the secret.
    Penalised,
    /// The user paid the rest after that, and it is held here for the secret.
    Owed,
    /// Paid in full, and the secret is there.
    Settled,
    /// The provider gave it up.
    Abandoned
}

/// @notice What the public SDK does not show of a deliverable. Wei, unix seconds.
struct DeliverableTerms {
    DeliverableState state;
    uint256 fee;
    /// What the provider got of it.
    uint256 paid;
    /// What is held here for the secret.
    uint256 held;
    /// Whose signature is on the model's file.
    address signer;
    /// Until when the provider cannot settle without the user; 0 unless it waits for her.
    uint256 acknowledgeBy;
    /// Until when the secret is due, after which the user can take back what is held; 0 if nothing is.
    uint256 handOverBy;
}

/// @title Fine-tuning: services, sub-accounts, delivered models and their settlement
/// @notice The functions that the public compute SDK 0.9.0 calls, and what makes them safe. Amounts in wei, times in unix seconds.
/// A model is delivered encrypted and with its fee stated. The user who acknowledges it agrees to that fee, which then buys the key. Of a user who does not
/// answer in time the provider gets a part; she can still pay the rest for the key. No delivery keeps a user's money from leaving: only what
/// she paid late is held, and only until the key is due.
interface IFineTuningServing is IServingAccounts, IServingProviders {
    event ServiceUpdated(
        address indexed provider,
        string url,
        Quota quota,
        uint256 pricePerToken,
        address teeSignerAddress,
        bool occupied
    );
    event DeliverableAdded(
        address indexed user,
        address indexed provider,
        string deliverableId,
        bytes modelRootHash,
        uint256 timestamp
    );
    event DeliverableEvicted(
        address indexed provider,
        address indexed user,
        string evictedDeliverableId,
        string newDeliverableId,
        uint256 timestamp
    );
    event DeliverableAcknowledged(
        address indexed user,
        address indexed provider,
        string deliverableId,
        uint256 timestamp
    );
    /// `fee` is what this settlement paid.
    event FeesSettled(
        address indexed user,
        address indexed provider,
        string deliverableId,
        uint256 fee,
        bool acknowledged,
        uint256 nonce
    );
    event DeliverableAbandoned(address indexed user, address indexed provider, string deliverableId);
    /// The secret did not come: the user took back what was held for it.
    event DeliverableReclaimed(
        address indexed user,
        address indexed provider,
        string deliverableId,
        address to,
        uint256 amount
    );
    event FeeCeilingSet(address indexed user, address indexed provider, uint256 ceiling);

    error AcknowledgementPending(uint256 acknowledgeBy);
    error CannotAcknowledgeSettledDeliverable(string id);
    error CannotEvictUnsettledDeliverable(string id);
    error DeliverableAlreadyExists(string id);
    error DeliverableAlreadySettled(string id);
    error DeliverableNotExists(string id);
    error DetailsTooLong(uint256 length, uint256 max);
    error FeeAboveCeiling(uint256 fee, uint256 ceiling);
    error FeeNotAsStated(uint256 stated, uint256 asked);
    error InsufficientBalance(address user, address provider, uint256 available, uint256 required);
    error InvalidRootHash(uint256 length);
    error InvalidSecretLength(uint256 length, uint256 expected);
    error NonceNotNew(uint256 nonce, uint256 last);
    error NotReclaimable(uint256 handOverBy);
    error PreviousDeliverableNotAcknowledged(string id);
    error RootNotAsDelivered(bytes32 delivered);
    error SecretShouldBeEmpty();
    error SignerAttestedByRegistry(address provider);

    // ---- services

    /// @notice Registers the caller's service, with at least `MIN_PROVIDER_STAKE` less what its bond already holds, or changes it (without value).
    /// Reverts InsufficientStake, CannotAddStakeWhenUpdating, InvalidAddress, DetailsTooLong.
    function addOrUpdateService(
        string calldata url,
        Quota calldata quota,
        uint256 pricePerToken,
        bool occupied,
        string[] calldata models,
        address teeSignerAddress
    ) external payable;
    /// @notice Reverts ServiceNotExist.
    function getService(address provider) external view returns (FineTuningService memory service);
    /// @notice All services; meant to be called, not sent.
    function getAllServices() external view returns (FineTuningService[] memory services);
    /// @notice Kept for the public SDK: changes nothing. Reverts SignerNotAttested unless the registry attests the signer of `provider`.
    function acknowledgeTEESignerByOwner(address provider) external view;
    /// @notice Kept for the public SDK: always reverts SignerAttestedByRegistry, as nobody can take an attestation back here.
    function revokeTEESignerAcknowledgement(address provider) external view;

    // ---- the provider

    /// @notice Delivers a model to `user` for `fee`, no more than her sub-account holds: its encrypted file has the root `modelRootHash` (32 bytes) and is signed by the caller's
    /// TEE signer. The previous one must be acknowledged or settled. `DELIVERABLES` are kept; the oldest makes place, if it is settled. Whether the
    /// signer is attested and the stake in place is asked when it is paid for. Reverts AccountNotExists, InsufficientBalance, InvalidUuid,
    /// InvalidRootHash, FeeAboveCeiling, DeliverableAlreadyExists, PreviousDeliverableNotAcknowledged, CannotEvictUnsettledDeliverable.
    function addDeliverable(address user, string calldata id, bytes calldata modelRootHash, uint256 fee) external;
    /// @notice Pays the caller for a deliverable: the fee in full for the secret once the user acknowledged, or `penaltyPercentage` of it, as far as
    /// the account has it, when she did not and `acknowledgeBy` has passed; then without a secret. Reverts InsufficientStake, DeliverableNotExists,
    /// DeliverableAlreadySettled, NonceNotNew, FeeNotAsStated, RootNotAsDelivered, SignerNotAttested, AcknowledgementPending, SecretShouldBeEmpty,
    /// InvalidSecretLength, InsufficientBalance.
    function settleFees(VerifierInput calldata verifierInput) external;
    /// @notice The caller gives up a deliverable that nothing was paid for yet. Reverts DeliverableNotExists, DeliverableAlreadySettled.
    function abandonDeliverable(address user, string calldata id) external;

    // ---- the user

    /// @notice The caller has the model and agrees to its fee. Does nothing if she did so before. After a penalty it costs the rest of the fee at once, which is
    /// held for the secret. Reverts DeliverableNotExists, CannotAcknowledgeSettledDeliverable, InsufficientBalance.
    function acknowledgeDeliverable(address provider, string calldata id) external;
    /// @notice Sends `to` what the caller paid late for a secret that is overdue. Reverts DeliverableNotExists, NotReclaimable, TransferFailed.
    function reclaimDeliverable(address provider, string calldata id, address payable to) external;
    /// @notice The highest fee at which `provider` can deliver to the caller from now on; 0 = no ceiling but what her sub-account holds then.
    function setFeeCeiling(address provider, uint256 ceiling) external;

    /// @notice One sub-account with the deliverables that are kept. Reverts AccountNotExists.
    function getAccount(address user, address provider) external view returns (FineTuningAccount memory);
    /// @notice At most 50 at once; `limit` 0 = as many as that. Reverts LimitTooLarge.
    function getAllAccounts(
        uint256 offset,
        uint256 limit
    ) external view returns (FineTuningAccountSummary[] memory accounts, uint256 total);
    /// @notice Reverts DeliverableNotExists.
    function getDeliverable(
        address user,
        address provider,
        string calldata id
    ) external view returns (Deliverable memory);
    /// @notice The last `DELIVERABLES`, the oldest first.
    function getDeliverables(address user, address provider) external view returns (Deliverable[] memory);
    /// @notice Reverts DeliverableNotExists.
    function termsOf(
        address user,
        address provider,
        string calldata id
    ) external view returns (DeliverableTerms memory);
    /// @notice Wei; 0 = none.
    function feeCeiling(address user, address provider) external view returns (uint256);
    /// @notice Percent of the fee that a provider gets for a model that was never acknowledged.
    function penaltyPercentage() external view returns (uint256);
    /// @notice Seconds from delivery in which the user can acknowledge before the provider can settle without her: at most half of what a refund takes.
    function acknowledgementWindow() external view returns (uint256);
}
