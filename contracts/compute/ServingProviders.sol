// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ITeeSignerRegistry} from "../attestation/ITeeSignerRegistry.sol";
import {bondIdOf, IBonds} from "../stake/IBonds.sol";
import {IServingProviders} from "./IServingProviders.sol";

/// @title Providers of a service
/// @notice A provider offers one service, answers for it with a bond that one arbiter can take, and has one signer, whose predecessors
/// count for a while.
/// @dev Numbers stand for providers in other slots, so they are never given twice.
abstract contract ServingProviders is IServingProviders, AccessManagedUpgradeable, ReentrancyGuardTransient {
    /// One slot.
    struct Provider {
        address signer;
        /// From 1; kept for good. 0: never offered a service.
        uint32 number;
        /// In the list of services, from 1. 0: offers none.
        uint32 position;
    }

    /// @custom:storage-location erc7201:perigee.storage.ServingProviders
    struct ServingProvidersStorage {
        address[] numbered;
        address[] services;
        mapping(address provider => Provider) providers;
        mapping(address provider => mapping(address signer => uint256 until)) retiredUntil;
    }

    /// @inheritdoc IServingProviders
    uint256 public constant MIN_PROVIDER_STAKE = 100 ether;
    /// @notice Seconds between a provider's request to unbond and the end of its liability. Longer than any fault can be reported late.
    uint64 internal constant BOND_DELAY = 21 days;
    /// @notice Most entries that a list function gives at once.
    uint256 private constant MAX_PAGE = 50;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.ServingProviders"));

    // Asked at every settlement: code is cheaper to read than storage.
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    ITeeSignerRegistry private immutable _registry;
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    IBonds private immutable _bonds;
    /// @custom:oz-upgrades-unsafe-allow state-variable-immutable
    address private immutable _arbiter;

    /// @param registry who is attested; none: every signer counts that a provider names
    /// @param bonds holds the stake
    /// @param arbiter may take it for the faults of a provider
    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor(address registry, address bonds, address arbiter) {
        require(bonds != address(0) && arbiter != address(0), InvalidAddress(address(0)));
        _registry = ITeeSignerRegistry(registry);
        _bonds = IBonds(bonds);
        _arbiter = arbiter;
    }

    /// Money comes through functions that say whose it is.
    receive() external payable {
        revert DirectDepositsDisabled();
    }

    // ---- services

    /// @inheritdoc IServingProviders
    function removeService() external {
        ServingProvidersStorage storage $ = _providersStorage();
        uint256 position = $.providers[msg.sender].position;
        require(position != 0, ServiceNotExist(msg.sender));
        address last = $.services[$.services.length - 1];
        $.services[position - 1] = last;
        $.providers[last].position = uint32(position);
        $.services.pop();
        $.providers[msg.sender].position = 0;
        _clearService(msg.sender);
        emit ServiceRemoved(msg.sender);
    }

    /// @inheritdoc IServingProviders
    function serviceExists(address provider) public view returns (bool) {
        return _providersStorage().providers[provider].position != 0;
    }

    /// @dev The caller offers a service from now on, or changes the one it offers. The first time it brings the stake, as far as its bond lacks it.
    /// To be called by a nonReentrant function. Gives whether it is new.
    function _openService(address signer) internal returns (bool isNew) {
        ServingProvidersStorage storage $ = _providersStorage();
        Provider memory provider = $.providers[msg.sender];
        isNew = provider.position == 0;
        require(isNew || msg.value == 0, CannotAddStakeWhenUpdating());
        require(signer != address(0), InvalidAddress(signer));
        if (provider.signer != signer) {
            uint256 until = provider.signer == address(0) ? 0 : block.timestamp + _overlap();
            if (until != 0) $.retiredUntil[msg.sender][provider.signer] = until;
            emit TeeSignerChanged(msg.sender, signer, provider.signer, until);
            provider.signer = signer;
        }
        if (isNew) {
            if (provider.number == 0) {
                $.numbered.push(msg.sender);
                provider.number = uint32($.numbered.length);
            }
            $.services.push(msg.sender);
            provider.position = uint32($.services.length);
        }
        $.providers[msg.sender] = provider;
        if (isNew) _bond(msg.sender);
    }

    function _bond(address provider) private {
        if (msg.value != 0) {
            _bonds.bond{value: msg.value}(provider, _arbiters(), BOND_DELAY);
            emit ProviderStaked(provider, msg.value);
        }
        _checkStake(provider);
    }

    /// @dev What the inheriting contract forgets of a service that ended.
    function _clearService(address provider) internal virtual;

    /// @dev Providers that offer a service, a page of them; `limit` 0 = as many as there can be on a page.
    function _servicePage(uint256 offset, uint256 limit) internal view returns (address[] memory page, uint256 total) {
        address[] storage services = _providersStorage().services;
        total = services.length;
        page = new address[](_pageLength(total, offset, limit));
        for (uint256 i = 0; i < page.length; ++i) page[i] = services[offset + i];
    }

    function _allServices() internal view returns (address[] memory) {
        return _providersStorage().services;
    }

    function _pageLength(uint256 total, uint256 offset, uint256 limit) internal pure returns (uint256 length) {
        require(limit <= MAX_PAGE, LimitTooLarge(limit, MAX_PAGE));
        length = offset < total ? total - offset : 0;
        uint256 most = limit == 0 ? MAX_PAGE : limit;
        if (length > most) length = most;
    }

    // ---- signers and stake

    /// @inheritdoc IServingProviders
    function signerUntil(address provider, address signer) public view returns (uint256) {
        ServingProvidersStorage storage $ = _providersStorage();
        if (signer != address(0) && $.providers[provider].signer == signer) return type(uint256).max;
        return $.retiredUntil[provider][signer];
    }

    /// @inheritdoc IServingProviders
    function isInGoodStanding(address provider) public view returns (bool) {
        return _isAttested(_signerOf(provider), 0) && _stakeOf(provider) >= MIN_PROVIDER_STAKE;
    }

    /// @inheritdoc IServingProviders
    function bondOf(address provider) public view returns (bytes32) {
        return bondIdOf(provider, _arbiters(), BOND_DELAY);
    }

    /// @dev Reverts SignerNotAttested unless `signer` counts for `provider` now: it is its signer, or was until an overlap ago, and is attested, or
    /// was until `grace` seconds ago. One that was revoked never counts.
    function _checkSigner(address provider, address signer, uint256 grace) internal view {
        require(
            signerUntil(provider, signer) >= block.timestamp && _isAttested(signer, grace),
            SignerNotAttested(provider, signer)
        );
    }

    /// @dev Reverts InsufficientStake unless all of the stake is bonded: what a provider settles after it unbonded, nobody would answer for.
    function _checkStake(address provider) internal view {
        uint256 stake = _stakeOf(provider);
        require(stake >= MIN_PROVIDER_STAKE, InsufficientStake(stake, MIN_PROVIDER_STAKE));
    }

    function _isAttested(address signer, uint256 grace) internal view returns (bool) {
        uint256 until = _attestedUntil(signer);
        return until > block.timestamp || (until != 0 && until + grace > block.timestamp);
    }

    /// @dev 0 for one that never was attested or was revoked.
    function _attestedUntil(address signer) internal view returns (uint256) {
        if (signer == address(0)) return 0;
        return address(_registry) == address(0) ? type(uint256).max : _registry.attestedUntil(signer);
    }

    function _stakeOf(address provider) private view returns (uint256) {
        return _bonds.bonded(bondOf(provider));
    }

    function _arbiters() private view returns (address[] memory arbiters) {
        arbiters = new address[](1);
        arbiters[0] = _arbiter;
    }

    /// @dev Seconds for which a signer counts after another took its place.
    function _overlap() internal view virtual returns (uint256);

    function _signerOf(address provider) internal view returns (address) {
        return _providersStorage().providers[provider].signer;
    }

    // ---- numbers

    /// @dev Reverts ServiceNotExist unless `provider` offers a service.
    function _numberOf(address provider) internal view returns (uint32) {
        Provider memory found = _providersStorage().providers[provider];
        require(found.position != 0, ServiceNotExist(provider));
        return found.number;
    }

    function _providerAt(uint256 number) internal view returns (address) {
        return _providersStorage().numbered[number - 1];
    }

    // ---- earnings

    /// @inheritdoc IServingProviders
    function withdrawEarnings(address payable to) external nonReentrant returns (uint256 amount) {
        amount = _takeEarnings(msg.sender);
        require(amount != 0, NothingEarned(msg.sender));
        emit EarningsWithdrawn(msg.sender, to, amount);
        require(LowLevelCall.callNoReturn(to, amount, ""), TransferFailed());
    }

    /// @dev Sets the earnings of `provider` to nothing; gives what they were.
    function _takeEarnings(address provider) internal virtual returns (uint256);

    function _providersStorage() private pure returns (ServingProvidersStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
