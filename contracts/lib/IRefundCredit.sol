// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Excess payments
/// @notice What a caller sends above the amount due is returned in the same call, or kept as its credit if it does not accept it.
interface IRefundCredit {
    /// A refund that the caller did not accept became credit. Wei.
    event RefundCredited(address indexed account, uint256 amount);
    event CreditWithdrawn(address indexed account, address indexed to, uint256 amount);

    error NoCredit(address account);
    error WithdrawalRejected(address to, uint256 amount);

    /// @notice Pays the caller's whole credit out to `to`. Reverts NoCredit, or WithdrawalRejected if `to` does not take it.
    function withdrawCredit(address payable to) external returns (uint256 amount);

    /// @notice Wei that `account` may withdraw.
    function credits(address account) external view returns (uint256);
}
