// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Bonds} from "../../contracts/stake/Bonds.sol";
import {IBonds} from "../../contracts/stake/IBonds.sol";
import {TestBase, vm} from "./TestBase.sol";

/// Party, victim and arbiter in one: calls again whatever it was told to when it is paid.
contract Reenterer {
    IBonds private immutable _bonds;
    bytes private _again;
    bool public refused;

    constructor(IBonds bonds) {
        _bonds = bonds;
    }

    receive() external payable {
        (bool success, ) = address(_bonds).call(_again);
        refused = !success;
    }

    function run(bytes calldata call, bytes calldata again) external {
        _again = again;
        (bool success, ) = address(_bonds).call(call);
        require(success, "the first call fails");
    }
}

contract BondsTest is TestBase {
    address private constant PARTY = address(0xA1);
    address private constant VICTIM = address(0xA2);
    address private constant ARBITER = address(0xB1);
    address private constant OTHER = address(0xB2);
    uint64 private constant DELAY = 14 days;

    Bonds private _bonds;

    receive() external payable {}

    function setUp() public {
        _bonds = new Bonds();
        vm.deal(address(this), 2 ** 100);
    }

    function testFuzz_aSlashTakesWhatIsThereAndNotLockedByOthers(
        uint64 bonded,
        uint64 unbonding,
        uint64 own,
        uint64 others,
        uint128 amount
    ) external {
        bytes32 id = _bond(uint256(bonded) + unbonding + 1);
        if (unbonding != 0) {
            vm.prank(PARTY);
            _bonds.unbond(id, unbonding);
        }
        vm.prank(OTHER);
        uint256 ofOther = _bonds.lock(id, others);
        vm.prank(ARBITER);
        uint256 ofArbiter = _bonds.lock(id, own);
        uint256 there = uint256(bonded) + unbonding + 1;

        vm.prank(ARBITER);
        uint256 taken = _bonds.slash(id, amount, VICTIM);
        vm.assertEq(taken, _min(amount, there - ofOther), "taken");
        vm.assertEq(_bonds.compensation(VICTIM), taken, "compensation");
        IBonds.Bond memory left = _bonds.bondOf(id);
        uint256 ofBonded = _min(taken, uint256(bonded) + 1);
        vm.assertEq(left.bonded, uint256(bonded) + 1 - ofBonded, "bonded first");
        vm.assertEq(left.unbonding, unbonding - (taken - ofBonded), "then unbonding");
        vm.assertEq(_bonds.lockedBy(id, OTHER), ofOther, "what the other locked");
        vm.assertEq(_bonds.lockedBy(id, ARBITER), _min(ofArbiter, there - taken - ofOther), "own lock last");
    }

    function testFuzz_whatLeavesIsDueAndNotLocked(uint64 bonded, uint64 asked, uint64 locked, uint40 wait) external {
        bytes32 id = _bond(uint256(bonded) + 1);
        uint256 unbonding = 1 + (asked % (uint256(bonded) + 1));
        uint256 start = block.timestamp;
        vm.prank(PARTY);
        _bonds.unbond(id, uint128(unbonding));
        vm.prank(ARBITER);
        uint256 kept = _bonds.lock(id, locked);
        vm.warp(start + wait);
        uint256 leaves = _min(unbonding, uint256(bonded) + 1 - kept);
        if (wait < DELAY) {
            vm.expectRevert(abi.encodeWithSelector(IBonds.NotDue.selector, id, uint64(start + DELAY)));
        } else if (leaves == 0) {
            vm.expectRevert(abi.encodeWithSelector(IBonds.NothingToWithdraw.selector));
        }
        vm.prank(PARTY);
        _bonds.withdraw(id, payable(PARTY));
        vm.assertEq(PARTY.balance, wait < DELAY ? 0 : leaves, "paid");
    }

    function test_aPartyThatReentersIsPaidOnce() external {
        Reenterer party = new Reenterer(_bonds);
        bytes32 id = _bonds.bond{value: 100}(address(party), _arbiters(), 0);
        _bonds.bond{value: 100}(PARTY, _arbiters(), 0);
        party.run(abi.encodeCall(IBonds.unbond, (id, 60)), "");
        bytes memory withdraw = abi.encodeCall(IBonds.withdraw, (id, payable(address(party))));
        party.run(withdraw, withdraw);
        vm.assertTrue(party.refused(), "a withdrawal within a withdrawal");
        vm.assertEq(address(party).balance, 60, "paid once");

        party.run(abi.encodeCall(IBonds.unbond, (id, 30)), "");
        party.run(withdraw, abi.encodeCall(IBonds.rebond, (id, 30)));
        vm.assertTrue(party.refused(), "what is being paid cannot be bonded again");
        vm.assertEq(address(party).balance, 90, "paid");
        vm.assertEq(_bonds.bonded(id), 10, "stays");
    }

    function test_aVictimThatReentersIsPaidOnce() external {
        Reenterer victim = new Reenterer(_bonds);
        bytes32 id = _bond(100);
        vm.prank(ARBITER);
        _bonds.slash(id, 40, address(victim));
        bytes memory withdraw = abi.encodeCall(IBonds.withdrawCompensation, (payable(address(victim))));
        victim.run(withdraw, withdraw);
        vm.assertTrue(victim.refused(), "a withdrawal within a withdrawal");
        vm.assertEq(address(victim).balance, 40, "paid once");
    }

    function test_anArbiterThatReentersTakesWhatIsLeft() external {
        Reenterer arbiter = new Reenterer(_bonds);
        address[] memory alone = new address[](1);
        alone[0] = address(arbiter);
        bytes32 id = _bonds.bond{value: 100}(PARTY, alone, DELAY);
        bytes memory slash = abi.encodeCall(IBonds.slash, (id, 70, address(arbiter)));
        arbiter.run(slash, "");
        arbiter.run(abi.encodeCall(IBonds.withdrawCompensation, (payable(address(arbiter)))), slash);
        vm.assertTrue(!arbiter.refused(), "slashing within a payment is as slashing after it");
        vm.assertEq(address(arbiter).balance, 70, "paid");
        vm.assertEq(_bonds.compensation(address(arbiter)), 30, "what was left");
        vm.assertEq(address(_bonds).balance, 30, "balance");
    }

    function _bond(uint256 amount) private returns (bytes32) {
        return _bonds.bond{value: amount}(PARTY, _arbiters(), DELAY);
    }

    function _arbiters() private pure returns (address[] memory arbiters) {
        arbiters = new address[](2);
        (arbiters[0], arbiters[1]) = (ARBITER, OTHER);
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
