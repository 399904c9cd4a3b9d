// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";

/// @title A pause that ends by itself
/// @notice For a guardian that can stop new entries during an incident but can never hold the protocol hostage: a pause
/// lasts at most `MAX_PAUSE`, needs no transaction to end, and the next one may begin only `PAUSE_COOLDOWN` after the end
/// of the last. Only entries carry `whenNotPaused`; exits, claims and answers never do.
/// @dev The inheriting contract stores the end of the pause beside what its entries read anyway.
abstract contract ExpiringPause is AccessManagedUpgradeable {
    /// @notice Longest pause, in seconds.
    uint256 public constant MAX_PAUSE = 7 days;
    /// @notice Seconds between the end of a pause and the start of the next.
    uint256 public constant PAUSE_COOLDOWN = 7 days;

    event Paused(address indexed by, uint256 until);
    event Unpaused(address indexed by);

    error EntriesPaused(uint256 until);
    error NotPaused();
    error PauseTooLong(uint256 duration, uint256 max);
    error PauseCoolingDown(uint256 until);

    modifier whenNotPaused() {
        uint256 until = pausedUntil();
        require(block.timestamp >= until, EntriesPaused(until));
        _;
    }

    /// @notice Stops entries for `duration` seconds. Restricted, to be given to the guardian.
    /// Reverts PauseTooLong, or PauseCoolingDown while a pause runs and for `PAUSE_COOLDOWN` after it.
    function pause(uint256 duration) external restricted {
        require(duration <= MAX_PAUSE, PauseTooLong(duration, MAX_PAUSE));
        uint256 last = pausedUntil();
        require(last == 0 || block.timestamp >= last + PAUSE_COOLDOWN, PauseCoolingDown(last + PAUSE_COOLDOWN));
        uint256 until = block.timestamp + duration;
        _setPausedUntil(until);
        emit Paused(msg.sender, until);
    }

    /// @notice Ends a running pause at once. Restricted. Reverts NotPaused.
    function unpause() external restricted {
        require(block.timestamp < pausedUntil(), NotPaused());
        _setPausedUntil(block.timestamp);
        emit Unpaused(msg.sender);
    }

    /// @notice Unix time at which the last pause ends or ended; 0 if there was none.
    function pausedUntil() public view virtual returns (uint256);

    function _setPausedUntil(uint256 until) internal virtual;
}
