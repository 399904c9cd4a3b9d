// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Roles of the AccessManager that governs every contract
/// @notice Which function needs which role is configured in the AccessManager at deployment; role 0 is its admin.
library Roles {
    /// @notice Sets parameters: prices, fees, base rewards. In production the timelock of the governor.
    uint64 public constant GOVERNOR = 1;
    /// @notice May pause entries for a few days (see ExpiringPause), and nothing else.
    uint64 public constant GUARDIAN = 2;
    /// @notice Replaces implementations behind proxies.
    uint64 public constant UPGRADER = 3;
}
