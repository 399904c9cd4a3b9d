// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Bonds} from "../../contracts/stake/Bonds.sol";
import {IBonds} from "../../contracts/stake/IBonds.sol";
import {TestBase, vm} from "./TestBase.sol";

/// A party that, whenever it is paid, tries to be paid again.
contract GreedyParty {
    Bonds private immutable _bonds;
    bytes32[] private _ids;

    constructor(Bonds bonds) {
        _bonds = bonds;
    }

    receive() external payable {
        if (msg.sender != address(_bonds)) return;
        for (uint256 i = 0; i < _ids.length; ++i) {
            try _bonds.withdraw(_ids[i], payable(address(this))) {} catch {}
        }
        try _bonds.withdrawCompensation(payable(address(this))) {} catch {}
    }

    function owns(bytes32 id) external {
        _ids.push(id);
    }
}

/// What was told of a bond, beside what the contract says.
struct Book {
    bytes32 id;
    address party;
    uint64 delay;
    address[] arbiters;
    uint256 paidIn;
    uint256 paidOut;
    uint256 taken;
    uint256 requestedAt;
}

/// Two parties, one of which re-enters, with bonds under sets of arbiters that overlap; one arbiter is malicious and bonds for others too.
contract BondsHandler {
    Bonds public bonds = new Bonds();
    uint256 public compensated;
    uint256 public compensationsPaid;
    address[4] public actors;
    Book[] private _books;
    uint256 private _time = block.timestamp;

    constructor() {
        actors = [address(new GreedyParty(bonds)), address(0xA2), address(0xA3), address(0xEEE1)];
        vm.deal(address(this), 2 ** 128);
        for (uint256 i = 0; i < 2; ++i) {
            _open(actors[i], 14 days, address(0xB1), address(0xB2));
            _open(actors[i], 14 days, address(0xB2), address(0xEEE1));
            _open(actors[i], 0, address(0xEEE1), address(0xEEE2));
        }
    }

    function books() external view returns (Book[] memory) {
        return _books;
    }

    function bond(uint256 which, uint64 amount) external {
        if (amount == 0) return;
        Book storage book = _books[which % _books.length];
        bonds.bond{value: amount}(book.party, book.arbiters, book.delay);
        book.paidIn += amount;
    }

    function unbond(uint256 which, uint256 amount) external {
        Book storage book = _books[which % _books.length];
        uint256 available = bonds.bonded(book.id);
        if (available == 0) return;
        vm.warp(_time);
        vm.prank(book.party);
        bonds.unbond(book.id, uint128(1 + (amount % available)));
        book.requestedAt = _time;
    }

    function rebond(uint256 which, uint256 amount) external {
        Book storage book = _books[which % _books.length];
        uint256 available = bonds.bondOf(book.id).unbonding;
        if (available == 0) return;
        vm.prank(book.party);
        bonds.rebond(book.id, uint128(1 + (amount % available)));
    }

    function pass(uint256 time) external {
        _time += time % 8 days;
    }

    function withdraw(uint256 which, uint256 who) external {
        Book storage book = _books[which % _books.length];
        _pay(actors[who % 4], abi.encodeCall(IBonds.withdraw, (book.id, payable(book.party))));
    }

    function withdrawCompensation(uint256 who) external {
        address payable actor = payable(actors[who % 4]);
        _pay(actor, abi.encodeCall(IBonds.withdrawCompensation, (actor)));
    }

    function lock(uint256 which, uint256 who, uint64 amount) external {
        Book storage book = _books[which % _books.length];
        vm.prank(book.arbiters[who % 2]);
        uint256 locked = bonds.lock(book.id, amount);
        vm.assertLe(locked, amount, "I21: no more is locked than was asked");
    }

    function unlock(uint256 which, uint256 who, uint64 amount) external {
        Book storage book = _books[which % _books.length];
        vm.prank(book.arbiters[who % 2]);
        bonds.unlock(book.id, amount);
    }

    function slash(uint256 which, uint256 who, uint64 amount, uint256 to) external {
        Book storage book = _books[which % _books.length];
        (address arbiter, address other) = (book.arbiters[who % 2], book.arbiters[1 - (who % 2)]);
        uint256 before = _there(book.id);
        uint256 ofOther = bonds.lockedBy(book.id, other);
        vm.prank(arbiter);
        uint256 taken = bonds.slash(book.id, amount, actors[to % 4]);
        vm.assertEq(bonds.lockedBy(book.id, other), ofOther, "I22: what another arbiter locked was touched");
        vm.assertEq(_there(book.id), before - taken, "I24: what is credited was taken");
        uint256 most = before - ofOther;
        vm.assertEq(taken, amount < most ? amount : most, "I24: as much is taken as there is");
        book.taken += taken;
        compensated += taken;
    }

    /// An arbiter of another bond, or of none, tries all it could do.
    function attack(uint256 which, uint256 who, uint64 amount) external {
        Book storage book = _books[which % _books.length];
        address[6] memory all = [
            address(0xB1),
            address(0xB2),
            address(0xEEE1),
            address(0xEEE2),
            address(0xA3),
            book.party
        ];
        address attacker = all[who % 6];
        if (attacker == book.arbiters[0] || attacker == book.arbiters[1]) return;
        bytes[3] memory calls = [
            abi.encodeCall(IBonds.lock, (book.id, amount)),
            abi.encodeCall(IBonds.unlock, (book.id, amount)),
            abi.encodeCall(IBonds.slash, (book.id, amount, attacker))
        ];
        for (uint256 i = 0; i < 3; ++i) {
            vm.prank(attacker);
            (bool success, ) = address(bonds).call(calls[i]);
            vm.assertTrue(!success, "I22: who is no arbiter of a bond acted on it");
        }
    }

    /// Whoever calls, and whatever it does when it is paid: only what the rules let go may go.
    function _pay(address caller, bytes memory call) private {
        uint256 wealth = caller.balance;
        uint256 compensation = bonds.compensation(caller);
        uint256[] memory before = new uint256[](_books.length);
        for (uint256 i = 0; i < before.length; ++i) before[i] = _there(_books[i].id);
        vm.warp(_time);
        vm.prank(caller);
        (bool success, ) = address(bonds).call(call);
        compensation -= bonds.compensation(caller);
        compensationsPaid += compensation;
        uint256 paid = compensation;
        for (uint256 i = 0; i < before.length; ++i) {
            Book storage book = _books[i];
            uint256 left = before[i] - _there(book.id);
            if (left == 0) continue;
            vm.assertTrue(success && caller == book.party, "I22: the money of a bond leaves by its party alone");
            vm.assertTrue(book.requestedAt != 0, "I23: money left that was not asked back");
            vm.assertLe(book.requestedAt + book.delay, _time, "I23: money left before its time");
            book.paidOut += left;
            paid += left;
        }
        vm.assertEq(caller.balance - wealth, paid, "I20: what leaves is what is paid");
    }

    function _there(bytes32 id) private view returns (uint256) {
        IBonds.Bond memory found = bonds.bondOf(id);
        return uint256(found.bonded) + found.unbonding;
    }

    function _open(address party, uint64 delay, address first, address second) private {
        Book storage book = _books.push();
        (book.party, book.delay) = (party, delay);
        (book.arbiters, book.paidIn) = (new address[](2), 1 ether);
        (book.arbiters[0], book.arbiters[1]) = (first, second);
        book.id = bonds.bond{value: 1 ether}(party, book.arbiters, delay);
        if (party.code.length != 0) GreedyParty(payable(party)).owns(book.id);
    }
}

contract BondsInvariants is TestBase {
    BondsHandler private _handler;

    function setUp() external {
        _handler = new BondsHandler();
        targetContract(address(_handler));
    }

    function invariant_I20_theBalanceIsTheSumOfBondsAndCompensations() external view {
        Bonds bonds = _handler.bonds();
        uint256 owed = 0;
        for (uint256 i = 0; i < 4; ++i) owed += bonds.compensation(_handler.actors(i));
        vm.assertEq(owed, _handler.compensated() - _handler.compensationsPaid(), "I20: compensations");
        Book[] memory books = _handler.books();
        for (uint256 i = 0; i < books.length; ++i) owed += _there(bonds, books[i].id);
        vm.assertEq(address(bonds).balance, owed, "I20: the balance is the sum of bonds and compensations");
    }

    function invariant_I21_whatIsLockedIsThere() external view {
        Bonds bonds = _handler.bonds();
        Book[] memory books = _handler.books();
        for (uint256 i = 0; i < books.length; ++i) {
            uint256 locked =
                bonds.lockedBy(books[i].id, books[i].arbiters[0]) + bonds.lockedBy(books[i].id, books[i].arbiters[1]);
            vm.assertEq(bonds.bondOf(books[i].id).locked, locked, "I21: locked is the sum of what arbiters locked");
            vm.assertLe(locked, _there(bonds, books[i].id), "I21: what is locked left");
        }
    }

    function invariant_I24_whatWasPaidInIsThereOrLeftOrWasTaken() external view {
        Bonds bonds = _handler.bonds();
        Book[] memory books = _handler.books();
        for (uint256 i = 0; i < books.length; ++i) {
            uint256 gone = books[i].paidOut + books[i].taken;
            vm.assertEq(_there(bonds, books[i].id), books[i].paidIn - gone, "I24: money of a bond went astray");
        }
    }

    function _there(Bonds bonds, bytes32 id) private view returns (uint256) {
        IBonds.Bond memory found = bonds.bondOf(id);
        return uint256(found.bonded) + found.unbonding;
    }
}
