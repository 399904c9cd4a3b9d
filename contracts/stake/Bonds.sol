// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {bondIdOf, IBonds} from "./IBonds.sol";

/// @title Stake of every module, in one place
/// @notice Immutable, without roles: whoever may take a bond is part of what it is called, so nobody can be added to it later.
/// @dev The balance is the sum of all bonds and compensations. The only calls out are the last thing their function does, so nothing is guarded
/// against reentrancy.
contract Bonds is IBonds {
    /// Two slots: the first changes with money, the second is written when the bond opens and when faults do.
    struct Stored {
        uint96 bonded;
        uint96 unbonding;
        uint40 unbondsAt;
        uint24 delay;
        address party;
        uint96 locked;
    }

    /// What an arbiter may do, and has locked. One slot.
    struct Arbiter {
        bool admitted;
        uint96 locked;
    }

    /// @inheritdoc IBonds
    uint64 public constant MAX_DELAY = 180 days;

    mapping(bytes32 id => Stored) private _bonds;
    mapping(bytes32 id => mapping(address arbiter => Arbiter)) private _arbiters;
    mapping(address account => uint256 amount) private _compensations;

    // ---- the party

    /// @inheritdoc IBonds
    function bond(address party, address[] calldata arbiters, uint64 delay) external payable returns (bytes32 id) {
        require(msg.value != 0, ZeroAmount());
        id = bondIdOf(party, arbiters, delay);
        Stored storage $ = _bonds[id];
        if ($.party == address(0)) _open(id, party, arbiters, delay);
        // Both together fit, so that either can become the other.
        uint256 total = msg.value + $.bonded + $.unbonding;
        require(total <= type(uint96).max, BondTooLarge(total, type(uint96).max));
        $.bonded += uint96(msg.value);
        emit Bonded(id, party, msg.sender, msg.value);
    }

    function _open(bytes32 id, address party, address[] calldata arbiters, uint64 delay) private {
        require(party != address(0), ZeroParty());
        require(delay <= MAX_DELAY, DelayTooLong(delay, MAX_DELAY));
        require(arbiters.length != 0, InvalidArbiters(arbiters));
        _bonds[id].party = party;
        _bonds[id].delay = uint24(delay); // 2^24 s are 194 days
        address previous = address(0);
        for (uint256 i = 0; i < arbiters.length; ++i) {
            require(arbiters[i] > previous, InvalidArbiters(arbiters));
            previous = arbiters[i];
            _arbiters[id][previous].admitted = true;
        }
        emit BondOpened(id, party, arbiters, delay);
    }

    /// @inheritdoc IBonds
    function unbond(bytes32 id, uint128 amount) external {
        Stored storage $ = _ofParty(id);
        _checkAvailable(id, $.bonded, amount);
        uint256 unbondsAt = block.timestamp + $.delay;
        // No more than what is bonded, and both together fit.
        unchecked {
            $.bonded -= uint96(amount);
            $.unbonding += uint96(amount);
        }
        $.unbondsAt = uint40(unbondsAt);
        emit UnbondingStarted(id, amount, uint64(unbondsAt));
    }

    /// @inheritdoc IBonds
    function rebond(bytes32 id, uint128 amount) external {
        Stored storage $ = _ofParty(id);
        _checkAvailable(id, $.unbonding, amount);
        unchecked {
            $.unbonding -= uint96(amount);
            $.bonded += uint96(amount);
        }
        emit UnbondingCancelled(id, amount);
    }

    /// @inheritdoc IBonds
    function withdraw(bytes32 id, address payable to) external returns (uint256 amount) {
        Stored storage $ = _ofParty(id);
        (uint256 unbonding, uint40 unbondsAt) = ($.unbonding, $.unbondsAt);
        require(block.timestamp >= unbondsAt, NotDue(id, unbondsAt));
        amount = Math.min(unbonding, $.bonded + unbonding - $.locked);
        require(amount != 0, NothingToWithdraw());
        $.unbonding = uint96(unbonding - amount);
        emit BondWithdrawn(id, msg.sender, to, amount);
        _pay(to, amount);
    }

    // ---- arbiters

    /// @inheritdoc IBonds
    function lock(bytes32 id, uint128 amount) external returns (uint128 locked) {
        Arbiter storage arbiter = _ofArbiter(id);
        Stored storage $ = _bonds[id];
        locked = uint128(Math.min(amount, _free($)));
        $.locked += uint96(locked);
        arbiter.locked += uint96(locked);
        emit StakeLocked(id, msg.sender, locked);
    }

    /// @inheritdoc IBonds
    function unlock(bytes32 id, uint128 amount) external returns (uint128 unlocked) {
        Arbiter storage arbiter = _ofArbiter(id);
        unlocked = uint128(Math.min(amount, arbiter.locked));
        _release(_bonds[id], arbiter, unlocked);
        emit StakeUnlocked(id, msg.sender, unlocked);
    }

    /// @inheritdoc IBonds
    function slash(bytes32 id, uint128 amount, address to) external returns (uint128 taken) {
        Arbiter storage arbiter = _ofArbiter(id);
        Stored storage $ = _bonds[id];
        uint256 free = _free($);
        taken = uint128(Math.min(amount, free + arbiter.locked));
        if (taken > free) _release($, arbiter, taken - free);
        uint256 ofBonded = Math.min(taken, $.bonded);
        $.bonded -= uint96(ofBonded);
        $.unbonding -= uint96(taken - ofBonded);
        _compensations[to] += taken;
        emit Slashed(id, msg.sender, to, taken);
    }

    /// @inheritdoc IBonds
    function withdrawCompensation(address payable to) external returns (uint256 amount) {
        amount = _compensations[msg.sender];
        require(amount != 0, NothingToWithdraw());
        delete _compensations[msg.sender];
        emit CompensationWithdrawn(msg.sender, to, amount);
        _pay(to, amount);
    }

    // ---- views

    /// @inheritdoc IBonds
    function bondId(address party, address[] calldata arbiters, uint64 delay) external pure returns (bytes32) {
        return bondIdOf(party, arbiters, delay);
    }

    /// @inheritdoc IBonds
    function bondOf(bytes32 id) external view returns (Bond memory) {
        Stored memory stored = _bonds[id];
        return
            Bond({
                party: stored.party,
                delay: stored.delay,
                bonded: stored.bonded,
                unbonding: stored.unbonding,
                unbondsAt: stored.unbondsAt,
                locked: stored.locked
            });
    }

    /// @inheritdoc IBonds
    function bonded(bytes32 id) external view returns (uint256) {
        return _bonds[id].bonded;
    }

    /// @inheritdoc IBonds
    function isArbiter(bytes32 id, address account) external view returns (bool) {
        return _arbiters[id][account].admitted;
    }

    /// @inheritdoc IBonds
    function lockedBy(bytes32 id, address arbiter) external view returns (uint256) {
        return _arbiters[id][arbiter].locked;
    }

    /// @inheritdoc IBonds
    function compensation(address account) external view returns (uint256) {
        return _compensations[account];
    }

    // ---- rules

    function _ofParty(bytes32 id) private view returns (Stored storage $) {
        $ = _bonds[id];
        require($.party != address(0), UnknownBond(id));
        require($.party == msg.sender, NotParty(id, msg.sender));
    }

    function _ofArbiter(bytes32 id) private view returns (Arbiter storage arbiter) {
        arbiter = _arbiters[id][msg.sender];
        require(arbiter.admitted, NotArbiter(id, msg.sender));
    }

    function _checkAvailable(bytes32 id, uint256 available, uint256 amount) private pure {
        require(amount != 0, ZeroAmount());
        require(amount <= available, InsufficientBond(id, available, amount));
    }

    /// What no fault keeps: locks never exceed what is there.
    function _free(Stored storage $) private view returns (uint256) {
        return uint256($.bonded) + $.unbonding - $.locked;
    }

    function _release(Stored storage $, Arbiter storage arbiter, uint256 amount) private {
        arbiter.locked -= uint96(amount);
        $.locked -= uint96(amount);
    }

    function _pay(address payable to, uint256 amount) private {
        require(LowLevelCall.callNoReturn(to, amount, ""), TransferRejected(to, amount));
    }
}
