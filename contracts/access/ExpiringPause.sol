// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";

/// @title A pause that ends by itself
/// @notice For a guardian that can stop new entries during an incident but can never hold the protocol hostage: a pause
/// lasts at most `MAX_PAUSE`, needs no transaction to end, and the next one may begin only `PAUSE_COOLDOWN` after the end
/// of the last. Only entries carry `whenNotPaused`; exits, claims and answers never do.
abstract contract ExpiringPause is AccessManagedUpgradeable {
    /// @custom:storage-location erc7201:perigee.storage.ExpiringPause
    struct ExpiringPauseStorage {
        uint64 until;
    }

    /// @notice Longest pause, in seconds.
    uint256 public constant MAX_PAUSE = 7 days;
    /// @notice Seconds between the end of a pause and the start of the next.
    uint256 public constant PAUSE_COOLDOWN = 7 days;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.ExpiringPause"));

    event Paused(address indexed by, uint256 until);
    event Unpaused(address indexed by);

    error EntriesPaused(uint256 until);
    error NotPaused();
    error PauseTooLong(uint256 duration, uint256 max);
    error PauseCoolingDown(uint256 until);

    modifier whenNotPaused() {
        _requireNotPaused();
        _;
    }

    /// @notice Stops entries for `duration` seconds. Restricted, to be given to the guardian.
    /// Reverts PauseTooLong, or PauseCoolingDown while a pause runs and for `PAUSE_COOLDOWN` after it.
    function pause(uint256 duration) external restricted {
        require(duration <= MAX_PAUSE, PauseTooLong(duration, MAX_PAUSE));
        ExpiringPauseStorage storage $ = _pauseStorage();
        uint256 last = $.until;
        require(last == 0 || block.timestamp >= last + PAUSE_COOLDOWN, PauseCoolingDown(last + PAUSE_COOLDOWN));
        uint256 until = block.timestamp + duration;
        $.until = uint64(until);
        emit Paused(msg.sender, until);
    }

    /// @notice Ends a running pause at once. Restricted. Reverts NotPaused.
    function unpause() external restricted {
        ExpiringPauseStorage storage $ = _pauseStorage();
        require(block.timestamp < $.until, NotPaused());
        $.until = uint64(block.timestamp);
        emit Unpaused(msg.sender);
    }

    /// @notice Unix time at which the last pause ends or ended; 0 if there was none.
    function pausedUntil() external view returns (uint256) {
        return _pauseStorage().until;
    }

    function _requireNotPaused() private view {
        uint256 until = _pauseStorage().until;
        require(block.timestamp >= until, EntriesPaused(until));
    }

    function _pauseStorage() private pure returns (ExpiringPauseStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
