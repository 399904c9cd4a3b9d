// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title What the ledger asks of a service that holds sub-accounts
/// @notice A sub-account is money of a user for one provider, held by the service. Amounts in wei. Everything that changes is for the ledger only.
interface IServing {
    function accountExists(address user, address provider) external view returns (bool);
    /// @notice Wei of the sub-account, what waits to be refunded included.
    function balanceOf(address user, address provider) external view returns (uint256);
    /// @notice Wei asked back and not yet collected.
    function getPendingRefund(address user, address provider) external view returns (uint256);
    /// @notice Opens a sub-account with `msg.value`.
    function addAccount(address user, address provider, string calldata additionalInfo) external payable;
    /// @notice Adds `msg.value`, and takes `cancelRetrievingAmount` back out of what waits to be refunded.
    function depositFund(address user, address provider, uint256 cancelRetrievingAmount) external payable;
    /// @notice Everything that is not yet asked back starts its lock.
    function requestRefundAll(address user, address provider) external;
    /// @notice Sends the ledger what waited for its lock time.
    function processRefund(
        address user,
        address provider
    ) external returns (uint256 totalAmount, uint256 balance, uint256 pendingRefund);
    /// @notice Closes a sub-account that holds nothing. Nonce and generation survive.
    function deleteAccount(address user, address provider) external;
}
