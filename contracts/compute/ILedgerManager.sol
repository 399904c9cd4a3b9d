// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

// Returned, never stored; the order of the public SDK.
// solhint-disable gas-struct-packing
struct Ledger {
    address user;
    /// Wei that can be refunded or transferred now.
    uint256 availableBalance;
    /// Wei, with all sub-accounts.
    uint256 totalBalance;
    string additionalInfo;
}

struct ServiceInfo {
    address serviceAddress;
    address serviceContract;
    string serviceType;
    string version;
    /// Type and version joined by "-": the name by which transfers say which service they mean.
    string fullName;
    string description;
    /// It is the newest of its type.
    bool isRecommended;
    uint256 registeredAt;
}

/// @title Ledger: where a user's money for compute is, and how it gets out again
/// @notice A user deposits once and transfers to a sub-account per provider and service. The functions of the public compute SDK 0.9.0. Amounts
/// in wei. Exits (`refund`, `retrieveFund`, `deleteLedger`) depend on nobody.
interface ILedgerManager {
    event LedgerInfoUpdated(address indexed user, string additionalInfo);
    event ServiceRegistered(address indexed serviceAddress, string serviceName);
    /// `available` is what the ledger of `user` holds after a deposit, a transfer or a refund.
    event LedgerUpdated(address indexed user, uint256 available);
    event LedgerDeleted(address indexed user);

    error AdditionalInfoTooLong(uint256 length, uint256 max);
    error DirectDepositsDisabled();
    error InsufficientAvailableBalance(uint256 available, uint256 required);
    error InsufficientBalance(address user);
    error LedgerExists(address user);
    error LedgerNotExists(address user);
    error LimitTooLarge(uint256 limit, uint256 max);
    error MinimumDepositRequired(uint256 provided, uint256 required);
    error MustWithdrawAllFundsFirst(uint256 remainingBalance);
    error ServiceAlreadyRegistered(address serviceAddress);
    error ServiceMustImplementIServing(address serviceAddress);
    error ServiceNameExists(string serviceName);
    error ServiceNotFound(address serviceAddress);
    error ServiceNotRegistered(address serviceAddress);
    error ServiceRegistryLimitReached(uint256 limit);
    error ServiceTypeRequired();
    error TransferFailed();
    error VersionRequired();
    error ZeroAddressNotAllowed();
    error ZeroAmountNotAllowed();
    /// A service said it sent `claimed` wei, and sent `received`.
    error RefundMissing(address service, uint256 claimed, uint256 received);

    // ---- ledgers

    /// @notice Opens the caller's ledger with `msg.value`, at least `MIN_ACCOUNT_BALANCE`. `additionalInfo` is shown to every service.
    /// Reverts LedgerExists, MinimumDepositRequired, AdditionalInfoTooLong.
    function addLedger(
        string calldata additionalInfo
    ) external payable returns (uint256 availableBalance, uint256 totalBalance);
    /// @notice Adds to the caller's ledger, or opens one.
    function depositFund() external payable;
    /// @notice Adds to the ledger of `recipient`, or opens one. Reverts ZeroAddressNotAllowed, ZeroAmountNotAllowed.
    function depositFundFor(address recipient) external payable;
    /// @notice Pays the caller `amount` of what is available. An amount off by less than `DUST`, either way, means all of it. Reverts
    /// InsufficientBalance, TransferFailed.
    function refund(uint256 amount) external;
    /// @notice Puts `amount` into the caller's sub-account with `provider` of the named service: first out of what waits there to be refunded, then
    /// out of what is available. A new sub-account needs at least `MIN_TRANSFER_AMOUNT`. Reverts ServiceNotFound, MinimumDepositRequired,
    /// InsufficientAvailableBalance, ZeroAmountNotAllowed, LedgerNotExists, or what the service says.
    function transferFund(address provider, string calldata serviceName, uint256 amount) external;
    /// @notice Asks back all that the caller's sub-accounts with `providers` hold, and collects what waited for its lock time. Changes at most
    /// `MAX_PROVIDERS_PER_BATCH` sub-accounts and skips those with nothing to do: with more of them, call again with the same list.
    function retrieveFund(address[] calldata providers, string calldata serviceName) external;
    /// @notice Closes the caller's ledger. Reverts MustWithdrawAllFundsFirst if it or a sub-account holds something. Of a great many empty
    /// sub-accounts it closes some at each call.
    function deleteLedger() external;
    /// @notice Replaces what services are shown of the caller. Reverts LedgerNotExists, AdditionalInfoTooLong.
    function updateAdditionalInfo(string calldata additionalInfo) external;

    /// @notice Reverts LedgerNotExists.
    function getLedger(address user) external view returns (Ledger memory);
    /// @notice At most 50 at once; `limit` 0 = as many as that. Reverts LimitTooLarge.
    function getAllLedgers(
        uint256 offset,
        uint256 limit
    ) external view returns (Ledger[] memory ledgers, uint256 total);
    /// @notice Providers of the named service with which `user` has a sub-account. Reverts ServiceNotFound.
    function getLedgerProviders(address user, string calldata serviceName) external view returns (address[] memory);
    /// @notice What `user` wants services to know; empty if she has no ledger.
    function additionalInfoOf(address user) external view returns (string memory);

    // ---- services

    /// @notice Lets a contract hold sub-accounts. Restricted: the ledger trusts it with what users transfer. Reverts
    /// ServiceTypeRequired, VersionRequired, ServiceAlreadyRegistered, ServiceNameExists, ServiceMustImplementIServing,
    /// ServiceRegistryLimitReached.
    function registerService(
        string calldata serviceType,
        string calldata version,
        address serviceAddress,
        string calldata description
    ) external;
    /// @notice Reverts ServiceNotRegistered.
    function getServiceInfo(address serviceAddress) external view returns (ServiceInfo memory);
    /// @notice Reverts ServiceNotFound.
    function getServiceAddressByName(string calldata serviceName) external view returns (address);
    /// @notice All services that can hold sub-accounts.
    function getAllActiveServices() external view returns (ServiceInfo[] memory);
}
