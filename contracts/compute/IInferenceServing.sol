// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IServingAccounts, Refund} from "./IServingAccounts.sol";
import {IServingProviders} from "./IServingProviders.sol";

// Returned, never stored; the order of the public SDK.
// solhint-disable-next-line gas-struct-packing
struct Account {
    address user;
    address provider;
    /// Of the last batch that charged this account.
    uint256 nonce;
    uint256 balance;
    uint256 pendingRefund;
    Refund[] refunds;
    string additionalInfo;
    bool acknowledged;
    uint256 validRefundsLength;
    uint256 generation;
    uint256 revokedBitmap;
}

struct Service {
    address provider;
    string serviceType;
    string url;
    uint256 inputPrice;
    uint256 outputPrice;
    uint256 updatedAt;
    string model;
    string verifiability;
    string additionalInfo;
    address teeSignerAddress;
    /// The registry says that the signer is attested, and the bond is there.
    bool teeSignerAcknowledged;
}

struct ServiceParams {
    string serviceType;
    string url;
    string model;
    string verifiability;
    uint256 inputPrice;
    uint256 outputPrice;
    string additionalInfo;
    address teeSignerAddress;
}

/// @notice Wei per unit, from `effectiveAt` (unix seconds) until the next version takes effect.
struct Price {
    uint104 inputPrice;
    uint104 outputPrice;
    uint48 effectiveAt;
}

/// @notice Limits that a user sets for one of her API keys at one provider.
struct KeyLimit {
    /// Wei that the key may spend in all; 0 = no cap.
    uint128 cap;
    /// Unix seconds; 0 = never.
    uint48 expiresAt;
    /// Unix seconds at which this was set.
    uint48 since;
    /// keccak256 of the model hashes (keccak256 of each name, 32 bytes each, in the order given); 0 = any model.
    bytes32 modelsHash;
}

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

/// @title Inference: services, sub-accounts and their settlement
/// @notice The functions of the public compute SDK 0.9.0, and what makes them safe.
interface IInferenceServing is IServingAccounts, IServingProviders {
    event ServiceUpdated(
        address indexed service,
        string serviceType,
        string url,
        uint256 inputPrice,
        uint256 outputPrice,
        uint256 updatedAt,
        string model,
        string verifiability
    );
    event TokenRevoked(address indexed user, address indexed provider, uint8 tokenId);
    event TokensRevoked(address indexed user, address indexed provider, uint8[] tokenIds);
    event AllTokensRevoked(address indexed user, address indexed provider, uint256 newGeneration);

    /// A price version was announced; a rise takes effect after `PRICE_NOTICE`, a fall at once.
    event PriceAnnounced(
        address indexed provider,
        uint16 indexed version,
        uint256 inputPrice,
        uint256 outputPrice,
        uint256 effectiveAt
    );
    event KeyLimitSet(
        address indexed user,
        address indexed provider,
        uint8 indexed tokenId,
        uint256 cap,
        uint256 expiresAt,
        bytes32[] modelHashes
    );
    event CeilingSet(address indexed user, address indexed provider, uint256 weiPerDay);
    /// `charged[i]` wei were taken for `items[i]`, with `outcomes[i]` (one byte each, an Outcome).
    event BatchSettled(
        address indexed provider,
        uint64 indexed nonce,
        bytes32 requestsHash,
        bytes32[] items,
        uint128[] charged,
        bytes outcomes
    );

    error BatchSizeTooLarge(uint256 size, uint256 max);
    error InvalidTEESignature(string reason);
    error NoSettlementsProvided();
    error TooManySettlements(uint256 count, uint256 max);
    error NonceNotNew(address provider, uint64 nonce, uint64 last);
    error UseSettleBatch();

    /// @notice Registers the caller's service (with at least `MIN_PROVIDER_STAKE`, which goes to Bonds under the receipt-dispute arbiter), or changes it (without value).
    function addOrUpdateService(ServiceParams calldata params) external payable;
    function getService(address provider) external view returns (Service memory service);
    function getAllServices(
        uint256 offset,
        uint256 limit
    ) external view returns (Service[] memory services, uint256 total);

    function getAccount(address user, address provider) external view returns (Account memory);
    function getAllAccounts(
        uint256 offset,
        uint256 limit
    ) external view returns (Account[] memory accounts, uint256 total);
    /// @notice Does nothing beyond checking that the registry attests the signer: kept for the public SDK.
    function acknowledgeTEESignerByOwner(address provider) external;
    /// @notice Kept for the public SDK: nobody can take an attestation back here.
    function revokeTEESignerAcknowledgement(address provider) external;

    function revokeToken(address provider, uint8 tokenId) external;
    function revokeTokens(address provider, uint8[] calldata tokenIds) external;
    function revokeAllTokens(address provider) external;
    function isTokenRevoked(address user, address provider, uint8 tokenId) external view returns (bool);
    /// @notice Limits what the caller's key `tokenId` (0..254) may do at `provider`, from now on. Empty `modelHashes` = any model.
    function setKeyLimit(
        address provider,
        uint8 tokenId,
        uint128 cap,
        uint48 expiresAt,
        bytes32[] calldata modelHashes
    ) external;
    function keyLimit(address user, address provider, uint8 tokenId) external view returns (KeyLimit memory);
    /// @notice Limits what `provider` can settle from the caller's account in a day (UTC); 0 = no limit.
    function setCeiling(address provider, uint128 weiPerDay) external;
    function ceiling(address user, address provider) external view returns (uint256 weiPerDay, uint256 spentToday);

    /// @notice Charges users for what a batch of receipts says. Anyone may send it: the signature says whose it is. An item is
    /// user (160 bits) ‖ input units (40) ‖ output units (40) ‖ price version (16), from the most significant bit.
    function settleBatch(
        address provider,
        uint64 nonce,
        bytes32 requestsHash,
        bytes32[] calldata items,
        bytes calldata signature
    ) external returns (bytes memory outcomes);
    /// @notice What `settleBatch` would do now with each item, signature and nonce aside.
    function previewBatch(
        address provider,
        bytes32[] calldata items
    ) external view returns (uint128[] memory charged, bytes memory outcomes);
    /// @notice The last nonce that was settled.
    function lastNonce(address provider) external view returns (uint64);

    /// @notice The version in force, and the one announced if there is one.
    function priceVersion(address provider) external view returns (uint16 current, uint16 latest);
    function priceOf(address provider, uint16 version) external view returns (Price memory);
}
