// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title What the ledger asks of a service that holds sub-accounts
/// @notice A sub-account is money of a user for one provider, held by the service. Amounts in wei. Everything that changes is for the ledger
/// only, and reverts CallerNotLedger for others.
interface IServing {
    /// @notice Whether `user` has a sub-account with `provider`.
    function accountExists(address user, address provider) external view returns (bool);
    /// @notice Whether there is a sub-account, and how much of what was asked back a deposit can take back: what still waits for its lock time.
    function cancellableRefund(address user, address provider) external view returns (bool exists, uint256 amount);
    /// @notice Providers with which `user` has a sub-account, the newest first, and what she has with all of them.
    function accountsOf(address user) external view returns (address[] memory providers, uint256 total);

    /// @notice Opens a sub-account with `msg.value`. Reverts AccountExists, ProviderCannotBeUser, ServiceNotExist, AmountTooLarge.
    function addAccount(address user, address provider) external payable;
    /// @notice Adds `msg.value`, and takes `cancelRetrievingAmount` back out of what waits to be refunded. Reverts AccountNotExists,
    /// AmountTooLarge.
    function depositFund(address user, address provider, uint256 cancelRetrievingAmount) external payable;
    /// @notice For each of `providers`: what waited for its lock time goes to the ledger, the rest starts its lock, and a sub-account that is empty
    /// is closed. Providers without a sub-account are skipped; so are all once `maxWork` sub-accounts have changed. Gives what was sent.
    function retrieveFund(
        address user,
        address[] calldata providers,
        uint256 maxWork
    ) external returns (uint256 amount);
    /// @notice Closes the empty ones among the newest `maxVisits` sub-accounts of `user`; gives how many she still has, and what those of
    /// them hold that were visited.
    function closeEmptyAccounts(address user, uint256 maxVisits) external returns (uint256 left, uint256 held);
}
