// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice One sub-account, in one slot, so that settling it reads and writes once: from the least significant bit
/// balance (88 bits, wei) ‖ pending refund (88, wei) ‖ nonce of the last batch (48) ‖ id (28; 0 = none) ‖ flags (4).
type AccountSlot is uint256;

using AccountSlots for AccountSlot global;

library AccountSlots {
    uint256 internal constant MAX_BALANCE = type(uint88).max;
    uint256 internal constant MAX_NONCE = type(uint48).max;
    uint256 internal constant MAX_ID = (1 << 28) - 1;

    uint256 private constant PENDING_SHIFT = 88;
    uint256 private constant NONCE_SHIFT = 176;
    uint256 private constant ID_SHIFT = 224;
    uint256 private constant NONCE_MASK = MAX_NONCE << NONCE_SHIFT;
    uint256 private constant ACKNOWLEDGED = 1 << 252;
    uint256 private constant CEILING = 1 << 253;

    /// @notice A new account; of an earlier one the nonce survives, and that it has a ceiling.
    function open(AccountSlot slot, uint256 id_) internal pure returns (AccountSlot) {
        return AccountSlot.wrap(AccountSlot.unwrap(close(slot)) | (id_ << ID_SHIFT) | ACKNOWLEDGED);
    }

    /// @notice What remains of an account that was closed.
    function close(AccountSlot slot) internal pure returns (AccountSlot) {
        return AccountSlot.wrap(AccountSlot.unwrap(slot) & (NONCE_MASK | CEILING));
    }

    /// @notice Wei, what waits to be refunded included.
    function balance(AccountSlot slot) internal pure returns (uint256) {
        return AccountSlot.unwrap(slot) & MAX_BALANCE;
    }

    /// @notice Wei of the balance that wait to be refunded.
    function pending(AccountSlot slot) internal pure returns (uint256) {
        return (AccountSlot.unwrap(slot) >> PENDING_SHIFT) & MAX_BALANCE;
    }

    function nonce(AccountSlot slot) internal pure returns (uint256) {
        return (AccountSlot.unwrap(slot) >> NONCE_SHIFT) & MAX_NONCE;
    }

    function id(AccountSlot slot) internal pure returns (uint256) {
        return (AccountSlot.unwrap(slot) >> ID_SHIFT) & MAX_ID;
    }

    function exists(AccountSlot slot) internal pure returns (bool) {
        return id(slot) != 0;
    }

    function isAcknowledged(AccountSlot slot) internal pure returns (bool) {
        return AccountSlot.unwrap(slot) & ACKNOWLEDGED != 0;
    }

    function hasCeiling(AccountSlot slot) internal pure returns (bool) {
        return AccountSlot.unwrap(slot) & CEILING != 0;
    }

    /// @dev Neither may exceed `MAX_BALANCE`, nor the second the first: the caller has checked.
    function withFunds(AccountSlot slot, uint256 balance_, uint256 pending_) internal pure returns (AccountSlot) {
        uint256 rest = (AccountSlot.unwrap(slot) >> NONCE_SHIFT) << NONCE_SHIFT;
        return AccountSlot.wrap(rest | (pending_ << PENDING_SHIFT) | balance_);
    }

    /// @dev `nonce_` may not exceed `MAX_NONCE`.
    function withNonce(AccountSlot slot, uint256 nonce_) internal pure returns (AccountSlot) {
        return AccountSlot.wrap((AccountSlot.unwrap(slot) & ~NONCE_MASK) | (nonce_ << NONCE_SHIFT));
    }

    /// @dev `id_` may not exceed `MAX_ID`.
    function withId(AccountSlot slot, uint256 id_) internal pure returns (AccountSlot) {
        return AccountSlot.wrap((AccountSlot.unwrap(slot) & ~(MAX_ID << ID_SHIFT)) | (id_ << ID_SHIFT));
    }

    function withAcknowledged(AccountSlot slot, bool acknowledged) internal pure returns (AccountSlot) {
        uint256 word = AccountSlot.unwrap(slot) & ~ACKNOWLEDGED;
        return AccountSlot.wrap(acknowledged ? word | ACKNOWLEDGED : word);
    }

    function withCeiling(AccountSlot slot, bool limited) internal pure returns (AccountSlot) {
        uint256 word = AccountSlot.unwrap(slot) & ~CEILING;
        return AccountSlot.wrap(limited ? word | CEILING : word);
    }
}
