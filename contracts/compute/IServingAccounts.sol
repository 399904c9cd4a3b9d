// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IServing} from "./IServing.sol";

/// @notice Part of a sub-account that was asked back; the shape of the public SDK.
struct Refund {
    uint256 index;
    uint256 amount;
    /// Unix seconds, such that it can be collected at `createdAt + lockTime()`.
    uint256 createdAt;
    bool processed;
}

/// @title Sub-accounts of a service, as users see them
/// @notice Amounts in wei, times in unix seconds.
interface IServingAccounts is IServing {
    event BalanceUpdated(address indexed user, address indexed provider, uint256 amount, uint256 pendingRefund);
    event RefundRequested(address indexed user, address indexed provider, uint256 indexed index, uint256 timestamp);
    event AccountDeleted(address indexed user, address indexed provider, uint256 refundedAmount);
    event LockTimeUpdated(uint256 oldLockTime, uint256 newLockTime);

    error AccountExists(address user, address provider);
    error AccountNotExists(address user, address provider);
    error AmountTooLarge(uint256 amount, uint256 max);
    error CallerNotLedger(address caller);
    error CannotRevokeWithNonZeroBalance(address user, address provider, uint256 balance);
    error LockTimeOutOfRange(uint256 lockTime, uint256 min, uint256 max);
    error ProviderCannotBeUser();
    error TooManyAccounts(uint256 max);

    /// @notice Remembers that the caller accepts whoever the registry attests for `provider`; a deposit says so too. Takes it back only from a
    /// sub-account that is empty. Reverts AccountNotExists, CannotRevokeWithNonZeroBalance.
    function acknowledgeTEESigner(address provider, bool acknowledged) external;
    /// @notice Seconds between asking money back and collecting it: the time a provider has to charge what it already served.
    function lockTime() external view returns (uint256);
    /// @notice Restricted; for what is asked back from now on. Reverts LockTimeOutOfRange.
    function updateLockTime(uint256 lockTime_) external;
    /// @notice The ledger, which alone moves money in and out.
    function ledgerAddress() external view returns (address);
}
