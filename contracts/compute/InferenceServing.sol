// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {AccountSlot} from "./AccountSlot.sol";
import {Account, IInferenceServing, Service, ServiceParams, TEESettlementData} from "./IInferenceServing.sol";
import {InferenceKeys} from "./InferenceKeys.sol";
import {InferenceSettlement} from "./InferenceSettlement.sol";
import {Price} from "./IInferencePrices.sol";
import {ServiceTexts} from "./ServiceTexts.sol";
import {ServingProviders} from "./ServingProviders.sol";

/// @title Inference
/// @notice Behind a proxy, as its API will grow. Its balance is the sum of all sub-accounts and of all earnings.
contract InferenceServing is IInferenceServing, InferenceSettlement, InferenceKeys, UUPSUpgradeable {
    /// One slot.
    struct Details {
        uint64 updatedAt;
        address texts;
    }

    /// @custom:storage-location erc7201:perigee.storage.InferenceServing
    struct InferenceServingStorage {
        mapping(address provider => Details) details;
    }

    /// @notice Longest call that describes a service, in bytes: all its texts together.
    uint256 private constant MAX_SERVICE_LENGTH = 8192;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.InferenceServing"));

    /// @param registry the TeeSignerRegistry; none: every signer counts that a provider names
    /// @param bonds holds the providers' stake
    /// @param arbiter may take it for the faults of a provider
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor(address registry, address bonds, address arbiter) ServingProviders(registry, bonds, arbiter) {
        _disableInitializers();
    }

    /// @notice To be called in the deployment transaction of the proxy.
    /// @param authority the AccessManager
    /// @param ledger the LedgerManager
    /// @param lockTime_ seconds between asking money back and collecting it
    function initialize(address authority, address ledger, uint256 lockTime_) external initializer {
        require(authority != address(0), InvalidAddress(authority));
        __AccessManaged_init(authority);
        __ServingAccounts_init(ledger, lockTime_);
    }

    // ---- services

    /// @inheritdoc IInferenceServing
    function addOrUpdateService(ServiceParams calldata params) external payable nonReentrant {
        require(msg.data.length <= MAX_SERVICE_LENGTH, TextTooLong(msg.data.length, MAX_SERVICE_LENGTH));
        _announcePrice(msg.sender, params.inputPrice, params.outputPrice);
        Details storage details = _servingStorage().details[msg.sender];
        (details.updatedAt, details.texts) = (uint64(block.timestamp), ServiceTexts.write(params, details.texts));
        emit ServiceUpdated(
            msg.sender,
            params.serviceType,
            params.url,
            params.inputPrice,
            params.outputPrice,
            block.timestamp,
            params.model,
            params.verifiability
        );
        _openService(params.teeSignerAddress);
    }

    function _clearService(address provider) internal override {
        delete _servingStorage().details[provider];
    }

    /// @inheritdoc IInferenceServing
    function getService(address provider) public view returns (Service memory service) {
        require(serviceExists(provider), ServiceNotExist(provider));
        Details memory details = _servingStorage().details[provider];
        ServiceTexts.read(details.texts, service);
        (uint16 current, ) = priceVersion(provider);
        Price memory price = priceOf(provider, current);
        service.provider = provider;
        service.inputPrice = price.inputPrice;
        service.outputPrice = price.outputPrice;
        service.updatedAt = details.updatedAt;
        service.teeSignerAddress = _signerOf(provider);
        service.teeSignerAcknowledged = isInGoodStanding(provider);
    }

    /// @inheritdoc IInferenceServing
    function getAllServices(
        uint256 offset,
        uint256 limit
    ) external view returns (Service[] memory services, uint256 total) {
        address[] memory page;
        (page, total) = _servicePage(offset, limit);
        services = new Service[](page.length);
        for (uint256 i = 0; i < page.length; ++i) services[i] = getService(page[i]);
    }

    // ---- sub-accounts

    /// @inheritdoc IInferenceServing
    function getAccount(address user, address provider) public view returns (Account memory account) {
        AccountSlot slot = _existing(user, provider);
        account.user = user;
        account.provider = provider;
        account.nonce = slot.nonce();
        account.balance = slot.balance();
        account.pendingRefund = slot.pending();
        account.refunds = _refundsOf(user, provider);
        account.validRefundsLength = account.refunds.length;
        account.additionalInfo = _additionalInfoOf(user);
        account.acknowledged = slot.isAcknowledged();
        (account.generation, account.revokedBitmap) = _revocationsOf(user, provider);
    }

    /// @inheritdoc IInferenceServing
    function getAllAccounts(
        uint256 offset,
        uint256 limit
    ) external view returns (Account[] memory accounts, uint256 total) {
        address[] memory users;
        address[] memory providers;
        (users, providers, total) = _accountPage(offset, limit);
        accounts = new Account[](users.length);
        for (uint256 i = 0; i < users.length; ++i) accounts[i] = getAccount(users[i], providers[i]);
    }

    // ---- what the public SDK names and attestation replaced

    /// @inheritdoc IInferenceServing
    function acknowledgeTEESignerByOwner(address provider) external view {
        address signer = _signerOf(provider);
        require(_isAttested(signer, 0), SignerNotAttested(provider, signer));
    }

    /// @inheritdoc IInferenceServing
    function revokeTEESignerAcknowledgement(address) external pure {
        revert UseTeeSignerRegistry();
    }

    /// @inheritdoc IInferenceServing
    function settleFeesWithTEE(TEESettlementData[] calldata) external pure returns (uint8[] memory) {
        revert UseSettleBatch();
    }

    // ----

    function _authorizeUpgrade(address) internal override restricted {}

    function _servingStorage() private pure returns (InferenceServingStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
