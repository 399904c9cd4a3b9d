// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IInferenceKeys} from "./IInferenceKeys.sol";
import {IInferencePrices} from "./IInferencePrices.sol";
import {IInferenceSettlement} from "./IInferenceSettlement.sol";
import {IServingAccounts, Refund} from "./IServingAccounts.sol";
import {IServingProviders} from "./IServingProviders.sol";

// Returned or given, never stored; the order of the public SDK.
// solhint-disable gas-struct-packing

struct Account {
    address user;
    address provider;
    /// Of the last batch that charged this account.
    uint256 nonce;
    /// Wei, what waits to be refunded included.
    uint256 balance;
    uint256 pendingRefund;
    Refund[] refunds;
    /// As the user's ledger has it.
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
    /// Wei per unit, of the price in force.
    uint256 inputPrice;
    uint256 outputPrice;
    uint256 updatedAt;
    string model;
    string verifiability;
    string additionalInfo;
    address teeSignerAddress;
    /// The registry says that the signer is attested, and the stake is there.
    bool teeSignerAcknowledged;
}

struct ServiceParams {
    string serviceType;
    string url;
    string model;
    string verifiability;
    /// Wei per unit.
    uint256 inputPrice;
    uint256 outputPrice;
    string additionalInfo;
    address teeSignerAddress;
}

/// @notice An entry of the settlement that the public SDK names and never sends.
struct TEESettlementData {
    address user;
    address provider;
    uint256 totalFee;
    bytes32 requestsHash;
    uint256 nonce;
    bytes signature;
}

/// @title Inference: services, sub-accounts and their settlement
/// @notice The functions of the public compute SDK 0.9.0, and what makes them safe.
interface IInferenceServing is
    IInferenceKeys,
    IInferenceSettlement,
    IInferencePrices,
    IServingAccounts,
    IServingProviders
{
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

    /// A signer stops counting when its registry says so, and not otherwise.
    error UseTeeSignerRegistry();
    /// A fee that nobody can recompute is not charged.
    error UseSettleBatch();

    /// @notice Registers the caller's service (with at least `MIN_PROVIDER_STAKE` less what its bond has already, which goes to Bonds), or changes it
    /// (without value). Reverts InsufficientStake, CannotAddStakeWhenUpdating, InvalidAddress without a signer, TextTooLong, PriceTooHigh.
    function addOrUpdateService(ServiceParams calldata params) external payable;
    /// @notice Reverts ServiceNotExist.
    function getService(address provider) external view returns (Service memory service);
    /// @notice At most 50 at once; `limit` 0 = as many as that. Reverts LimitTooLarge.
    function getAllServices(
        uint256 offset,
        uint256 limit
    ) external view returns (Service[] memory services, uint256 total);

    /// @notice Reverts AccountNotExists.
    function getAccount(address user, address provider) external view returns (Account memory);
    /// @notice At most 50 at once; `limit` 0 = as many as that. Reverts LimitTooLarge.
    function getAllAccounts(
        uint256 offset,
        uint256 limit
    ) external view returns (Account[] memory accounts, uint256 total);

    /// @notice Kept for the public SDK: succeeds if the signer of `provider` is attested. Reverts SignerNotAttested.
    function acknowledgeTEESignerByOwner(address provider) external view;
    /// @notice Kept for the public SDK: reverts UseTeeSignerRegistry.
    function revokeTEESignerAcknowledgement(address provider) external pure;
    /// @notice Kept for the public SDK: reverts UseSettleBatch.
    function settleFeesWithTEE(TEESettlementData[] calldata settlements) external pure returns (uint8[] memory);
}
