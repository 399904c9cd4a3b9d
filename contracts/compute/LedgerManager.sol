// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ERC165Checker} from "@openzeppelin/contracts/utils/introspection/ERC165Checker.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ILedgerManager, Ledger, ServiceInfo} from "./ILedgerManager.sol";
import {IServing} from "./IServing.sol";

/// @title Ledger of the users of the compute marketplace
/// @notice Behind a proxy, as services will be added. Holds what users have not transferred to a service: its balance is the sum of what is available
/// to them. What they have in services is asked there when somebody wants to know, so that charging a user costs nothing here.
contract LedgerManager is ILedgerManager, AccessManagedUpgradeable, ReentrancyGuardTransient, UUPSUpgradeable {
    using SafeCast for uint256;

    struct Account {
        uint128 available;
        /// In the list of users, from 1. 0: no ledger.
        uint64 position;
    }

    struct Registered {
        string serviceType;
        string version;
        string description;
        uint256 registeredAt;
    }

    /// @custom:storage-location erc7201:perigee.storage.LedgerManager
    struct LedgerManagerStorage {
        address[] users;
        mapping(address user => Account) accounts;
        mapping(address user => string) additionalInfo;
        address[] services;
        mapping(address service => Registered) registered;
        mapping(string name => address service) byName;
        mapping(string serviceType => address service) newestOfType;
    }

    uint256 public constant MIN_ACCOUNT_BALANCE = 3 ether;
    uint256 public constant MIN_TRANSFER_AMOUNT = 1 ether;
    uint256 public constant MAX_ADDITIONAL_INFO_LENGTH = 4096;
    /// @notice Sub-accounts that one call changes at most.
    uint256 public constant MAX_PROVIDERS_PER_BATCH = 100;
    /// @notice Closing a ledger asks each of them.
    uint256 public constant MAX_SERVICES = 16;
    uint256 public constant MAX_PAGE = 50;
    /// @notice Wei by which a refund may miss what is available: clients that compute with floating point can't name it.
    uint256 public constant DUST = 1 gwei;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.LedgerManager"));

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice To be called in the deployment transaction of the proxy.
    /// @param authority the AccessManager
    function initialize(address authority) external initializer {
        require(authority != address(0), ZeroAddressNotAllowed());
        __AccessManaged_init(authority);
    }

    /// What services send back; nobody else may.
    receive() external payable {
        require(_ledgerStorage().registered[msg.sender].registeredAt != 0, DirectDepositsDisabled());
    }

    // ---- money in

    /// @inheritdoc ILedgerManager
    function addLedger(
        string calldata additionalInfo
    ) external payable nonReentrant returns (uint256 availableBalance, uint256 totalBalance) {
        LedgerManagerStorage storage $ = _ledgerStorage();
        require($.accounts[msg.sender].position == 0, LedgerExists(msg.sender));
        _checkInfo(additionalInfo);
        _deposit(msg.sender);
        if (bytes(additionalInfo).length != 0) {
            $.additionalInfo[msg.sender] = additionalInfo;
            emit LedgerInfoUpdated(msg.sender, additionalInfo);
        }
        return (msg.value, msg.value);
    }

    /// @inheritdoc ILedgerManager
    function depositFund() external payable nonReentrant {
        _deposit(msg.sender);
    }

    /// @inheritdoc ILedgerManager
    function depositFundFor(address recipient) external payable nonReentrant {
        require(recipient != address(0), ZeroAddressNotAllowed());
        _deposit(recipient);
    }

    function _deposit(address user) private {
        require(msg.value != 0, ZeroAmountNotAllowed());
        LedgerManagerStorage storage $ = _ledgerStorage();
        Account memory account = $.accounts[user];
        if (account.position == 0) {
            require(msg.value >= MIN_ACCOUNT_BALANCE, MinimumDepositRequired(msg.value, MIN_ACCOUNT_BALANCE));
            $.users.push(user);
            account.position = uint64($.users.length);
        }
        account.available = (account.available + msg.value).toUint128();
        $.accounts[user] = account;
        emit LedgerUpdated(user, account.available);
    }

    /// @inheritdoc ILedgerManager
    function updateAdditionalInfo(string calldata additionalInfo) external {
        LedgerManagerStorage storage $ = _ledgerStorage();
        require($.accounts[msg.sender].position != 0, LedgerNotExists(msg.sender));
        _checkInfo(additionalInfo);
        $.additionalInfo[msg.sender] = additionalInfo;
        emit LedgerInfoUpdated(msg.sender, additionalInfo);
    }

    function _checkInfo(string calldata info) private pure {
        uint256 length = bytes(info).length;
        require(length <= MAX_ADDITIONAL_INFO_LENGTH, AdditionalInfoTooLong(length, MAX_ADDITIONAL_INFO_LENGTH));
    }

    // ---- sub-accounts

    /// @inheritdoc ILedgerManager
    function transferFund(address provider, string calldata serviceName, uint256 amount) external nonReentrant {
        require(amount != 0, ZeroAmountNotAllowed());
        LedgerManagerStorage storage $ = _ledgerStorage();
        uint256 available = _available($, msg.sender);
        IServing service = _service($, serviceName);
        (bool exists, uint256 cancelled) = service.cancellableRefund(msg.sender, provider);
        require(exists || amount >= MIN_TRANSFER_AMOUNT, MinimumDepositRequired(amount, MIN_TRANSFER_AMOUNT));
        if (cancelled > amount) cancelled = amount;
        uint256 value = amount - cancelled;
        require(value <= available, InsufficientAvailableBalance(available, value));
        if (value != 0) _setAvailable($, msg.sender, available - value);
        if (exists) service.depositFund{value: value}(msg.sender, provider, cancelled);
        else service.addAccount{value: value}(msg.sender, provider);
    }

    /// @inheritdoc ILedgerManager
    function retrieveFund(address[] calldata providers, string calldata serviceName) external nonReentrant {
        LedgerManagerStorage storage $ = _ledgerStorage();
        uint256 available = _available($, msg.sender);
        IServing service = _service($, serviceName);
        uint256 before = address(this).balance;
        uint256 claimed = service.retrieveFund(msg.sender, providers, MAX_PROVIDERS_PER_BATCH);
        if (claimed == 0) return;
        uint256 received = address(this).balance - before;
        require(received == claimed, RefundMissing(address(service), claimed, received));
        _setAvailable($, msg.sender, available + claimed);
    }

    // ---- money out

    /// @inheritdoc ILedgerManager
    function refund(uint256 amount) external nonReentrant {
        require(amount != 0, ZeroAmountNotAllowed());
        LedgerManagerStorage storage $ = _ledgerStorage();
        uint256 available = _available($, msg.sender);
        require(available != 0 && amount < available + DUST, InsufficientBalance(msg.sender));
        if (available < amount + DUST) amount = available;
        _setAvailable($, msg.sender, available - amount);
        if (amount == available) _closeIfEmpty($, msg.sender);
        require(LowLevelCall.callNoReturn(msg.sender, amount, ""), TransferFailed());
    }

    /// @inheritdoc ILedgerManager
    function deleteLedger() external nonReentrant {
        LedgerManagerStorage storage $ = _ledgerStorage();
        uint256 remaining = _available($, msg.sender);
        require(remaining == 0, MustWithdrawAllFundsFirst(remaining));
        remaining = _closeIfEmpty($, msg.sender);
        require(remaining == 0, MustWithdrawAllFundsFirst(remaining));
    }

    /// Closes the ledger if nothing is in it or in a service; gives the wei found in services. The exit of one user never depends on a service: one
    /// that fails keeps the ledger open, no more.
    function _closeIfEmpty(LedgerManagerStorage storage $, address user) private returns (uint256 held) {
        bool empty = true;
        for (uint256 i = 0; i < $.services.length; ++i) {
            try IServing($.services[i]).closeEmptyAccounts(user, MAX_PROVIDERS_PER_BATCH) returns (
                uint256 left,
                uint256 found
            ) {
                if (left != 0) empty = false;
                held += found;
            } catch {
                empty = false;
            }
        }
        if (!empty) return held;
        address last = $.users[$.users.length - 1];
        uint64 position = $.accounts[user].position;
        $.users[position - 1] = last;
        $.accounts[last].position = position;
        $.users.pop();
        delete $.accounts[user];
        delete $.additionalInfo[user];
        emit LedgerDeleted(user);
    }

    function _available(LedgerManagerStorage storage $, address user) private view returns (uint256) {
        Account memory account = $.accounts[user];
        require(account.position != 0, LedgerNotExists(user));
        return account.available;
    }

    function _setAvailable(LedgerManagerStorage storage $, address user, uint256 available) private {
        $.accounts[user].available = available.toUint128();
        emit LedgerUpdated(user, available);
    }

    // ---- views

    /// @inheritdoc ILedgerManager
    function getLedger(address user) public view returns (Ledger memory) {
        LedgerManagerStorage storage $ = _ledgerStorage();
        uint256 available = _available($, user);
        uint256 total = available;
        for (uint256 i = 0; i < $.services.length; ++i) {
            (, uint256 held) = IServing($.services[i]).accountsOf(user);
            total += held;
        }
        return Ledger(user, available, total, $.additionalInfo[user]);
    }

    /// @inheritdoc ILedgerManager
    function getAllLedgers(
        uint256 offset,
        uint256 limit
    ) external view returns (Ledger[] memory ledgers, uint256 total) {
        require(limit <= MAX_PAGE, LimitTooLarge(limit, MAX_PAGE));
        address[] storage users = _ledgerStorage().users;
        total = users.length;
        uint256 length = offset < total ? total - offset : 0;
        uint256 most = limit == 0 ? MAX_PAGE : limit;
        ledgers = new Ledger[](length < most ? length : most);
        for (uint256 i = 0; i < ledgers.length; ++i) ledgers[i] = getLedger(users[offset + i]);
    }

    /// @inheritdoc ILedgerManager
    function getLedgerProviders(
        address user,
        string calldata serviceName
    ) external view returns (address[] memory providers) {
        (providers, ) = _service(_ledgerStorage(), serviceName).accountsOf(user);
    }

    /// @inheritdoc ILedgerManager
    function additionalInfoOf(address user) external view returns (string memory) {
        return _ledgerStorage().additionalInfo[user];
    }

    // ---- services

    /// @inheritdoc ILedgerManager
    function registerService(
        string calldata serviceType,
        string calldata version,
        address serviceAddress,
        string calldata description
    ) external restricted {
        LedgerManagerStorage storage $ = _ledgerStorage();
        require(bytes(serviceType).length != 0, ServiceTypeRequired());
        require(bytes(version).length != 0, VersionRequired());
        require($.registered[serviceAddress].registeredAt == 0, ServiceAlreadyRegistered(serviceAddress));
        string memory name = string.concat(serviceType, "-", version);
        require($.byName[name] == address(0), ServiceNameExists(name));
        require($.services.length < MAX_SERVICES, ServiceRegistryLimitReached(MAX_SERVICES));
        require(
            ERC165Checker.supportsInterface(serviceAddress, type(IServing).interfaceId),
            ServiceMustImplementIServing(serviceAddress)
        );
        $.services.push(serviceAddress);
        $.registered[serviceAddress] = Registered(serviceType, version, description, block.timestamp);
        $.byName[name] = serviceAddress;
        $.newestOfType[serviceType] = serviceAddress;
        emit ServiceRegistered(serviceAddress, name);
    }

    /// @inheritdoc ILedgerManager
    function getServiceInfo(address serviceAddress) public view returns (ServiceInfo memory) {
        LedgerManagerStorage storage $ = _ledgerStorage();
        Registered memory service = $.registered[serviceAddress];
        require(service.registeredAt != 0, ServiceNotRegistered(serviceAddress));
        return
            ServiceInfo({
                serviceAddress: serviceAddress,
                serviceContract: serviceAddress,
                serviceType: service.serviceType,
                version: service.version,
                fullName: string.concat(service.serviceType, "-", service.version),
                description: service.description,
                isRecommended: $.newestOfType[service.serviceType] == serviceAddress,
                registeredAt: service.registeredAt
            });
    }

    /// @inheritdoc ILedgerManager
    function getServiceAddressByName(string calldata serviceName) external view returns (address) {
        return address(_service(_ledgerStorage(), serviceName));
    }

    /// @inheritdoc ILedgerManager
    function getAllActiveServices() external view returns (ServiceInfo[] memory services) {
        address[] storage addresses = _ledgerStorage().services;
        services = new ServiceInfo[](addresses.length);
        for (uint256 i = 0; i < services.length; ++i) services[i] = getServiceInfo(addresses[i]);
    }

    function _service(LedgerManagerStorage storage $, string calldata name) private view returns (IServing service) {
        service = IServing($.byName[name]);
        require(address(service) != address(0), ServiceNotFound(address(0)));
    }

    // ----

    function _authorizeUpgrade(address) internal override restricted {}

    function _ledgerStorage() private pure returns (LedgerManagerStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
