// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ILedgerManager, Ledger} from "../../contracts/compute/ILedgerManager.sol";
import {Account} from "../../contracts/compute/IInferenceServing.sol";
import {Price} from "../../contracts/compute/IInferencePrices.sol";
import {IServing} from "../../contracts/compute/IServing.sol";
import {IServingProviders} from "../../contracts/compute/IServingProviders.sol";
import {ComputeDeployment, Greedy} from "./ComputeDeployment.sol";
import {TestBase, vm} from "./TestBase.sol";

/// A sub-account before a batch.
struct Before {
    uint256 balance;
    uint256 matured;
    uint256 most;
}

/// Two users and two providers; one of each calls again whenever it is paid. Nothing here may revert but what is tried on purpose. Keeps its own
/// books: of what users brought, took and were charged, and what providers earned.
contract InferenceHandler is ComputeDeployment {
    uint256 private constant KEY = 0x7EE;
    uint256 private constant STRANGE_KEY = 0xBAD;

    address[2] public users;
    address[2] public providers;
    uint256[2] public paidIn;
    uint256[2] public paidOut;
    uint256[2] public charged;
    uint256[2] public earned;
    uint256[2] public withdrawn;
    uint64[2] public lastNonce;
    mapping(uint256 pair => mapping(uint256 day => uint256 amount)) private _spent;
    uint64 private _settledNonce;
    uint256 private _settledBy;
    bytes32[] private _settledItems;
    uint256 private _time = block.timestamp;

    constructor() {
        _deploy(true);
        users = [address(new Greedy()), address(0xA2)];
        providers = [address(0xB1), address(new Greedy())];
        bytes[] memory again = new bytes[](3);
        again[0] = abi.encodeCall(ILedgerManager.refund, (1));
        again[1] = abi.encodeCall(ILedgerManager.deleteLedger, ());
        again[2] = abi.encodeCall(ILedgerManager.retrieveFund, (_list(), INFERENCE));
        Greedy(payable(users[0])).plan(address(ledger), again);
        again = new bytes[](1);
        again[0] = abi.encodeCall(IServingProviders.withdrawEarnings, (payable(providers[1])));
        Greedy(payable(providers[1])).plan(address(serving), again);
        registry.attest(vm.addr(KEY), type(uint40).max);
        for (uint256 i = 0; i < 2; ++i) {
            _offer(providers[i], vm.addr(KEY), 1e9, 3e9, STAKE);
            _deposit(i, 10 ether);
            _transfer(i, 0, 2 ether);
            _transfer(i, 1, 2 ether);
        }
    }

    // ---- users

    function deposit(uint256 who, uint64 amount) external {
        _deposit(who % 2, 3 ether + uint256(amount));
    }

    function transfer(uint256 who, uint256 which, uint64 amount) external {
        vm.warp(_time);
        _transfer(who % 2, which % 2, 1 ether + uint256(amount));
    }

    function retrieve(uint256 who) external {
        vm.warp(_time);
        if (_hasLedger(users[who % 2])) _retrieve(who % 2);
    }

    function refund(uint256 who, uint256 amount) external {
        who %= 2;
        uint256 available = _available(users[who]);
        if (available != 0) _refund(who, 1 + (amount % available));
    }

    function setCeiling(uint256 who, uint256 which, uint64 weiPerDay) external {
        vm.warp(_time);
        vm.prank(users[who % 2]);
        serving.setCeiling(providers[which % 2], weiPerDay);
    }

    /// All of it, whatever the providers did before and do meanwhile.
    function exit(uint256 who, uint256 what, uint40 units) external {
        who %= 2;
        if (!_hasLedger(users[who])) return;
        vm.warp(_time);
        _retrieve(who);
        _time += LOCK_TIME / 2;
        vm.warp(_time);
        if (what % 2 == 1) _settle(what % 3 == 0 ? 0 : 1, 1, 0, _items(units, 1, what));
        if (what % 5 == 1) _toggleService(0);
        if (what % 7 == 1) _toggleStake(1);
        _time += LOCK_TIME / 2;
        vm.warp(_time);
        _retrieve(who);
        uint256 available = _available(users[who]);
        if (available != 0) _refund(who, available);
        else {
            vm.prank(users[who]);
            ledger.deleteLedger();
        }
        vm.assertTrue(!_hasLedger(users[who]), "I32: a user could not leave");
    }

    function pass(uint256 time) external {
        _time += time % 9 hours;
    }

    // ---- providers

    function reprice(uint256 which, uint40 inputPrice, uint40 outputPrice) external {
        which %= 2;
        address provider = providers[which];
        if (!serving.serviceExists(provider)) return;
        vm.warp(_time);
        (uint16 current, ) = serving.priceVersion(provider);
        Price memory inForce = serving.priceOf(provider, current);
        _offer(provider, vm.addr(KEY), inputPrice, outputPrice, 0);
        (, uint16 latest) = serving.priceVersion(provider);
        Price memory next = serving.priceOf(provider, latest);
        Price memory after_ = serving.priceOf(provider, current);
        vm.assertTrue(
            after_.inputPrice == inForce.inputPrice && after_.outputPrice == inForce.outputPrice,
            "I30: a price that was announced has changed"
        );
        bool rises = next.inputPrice > inForce.inputPrice || next.outputPrice > inForce.outputPrice;
        if (rises) vm.assertLe(_time + 1, next.effectiveAt, "I30: a price rose without notice");
    }

    function toggleService(uint256 which) external {
        vm.warp(_time);
        _toggleService(which % 2);
    }

    function toggleStake(uint256 which) external {
        vm.warp(_time);
        _toggleStake(which % 2);
    }

    function withdrawEarnings(uint256 which) external {
        which %= 2;
        address provider = providers[which];
        if (serving.earningsOf(provider) == 0) return;
        uint256 before = provider.balance;
        vm.prank(provider);
        serving.withdrawEarnings(payable(provider));
        withdrawn[which] += provider.balance - before;
    }

    // ---- batches

    /// As it should be, or with one thing wrong.
    function settle(uint256 which, uint40 inputUnits, uint40 outputUnits, uint256 what, uint256 wrong) external {
        vm.warp(_time);
        _settle(which % 2, uint64(1 + (what % 3)), wrong % 16, _items(inputUnits, outputUnits, what));
    }

    /// The last one again, as it was.
    function replay() external {
        if (_settledNonce == 0) return;
        vm.warp(_time);
        bytes memory signature = _sign(KEY, providers[_settledBy], _settledNonce, _settledItems);
        try serving.settleBatch(providers[_settledBy], _settledNonce, bytes32(0), _settledItems, signature) {
            vm.assertTrue(false, "I28: a nonce was settled twice");
        } catch {}
    }

    /// What is for the ledger only, by whoever is not it.
    function attack(uint256 who, uint256 which) external {
        address user = users[who % 2];
        address[4] memory all = [address(0xEEE), user, providers[which % 2], address(this)];
        bytes[4] memory calls = [
            abi.encodeCall(IServing.retrieveFund, (user, _list(), 2)),
            abi.encodeCall(IServing.depositFund, (user, providers[which % 2], 0)),
            abi.encodeCall(IServing.addAccount, (user, providers[which % 2])),
            abi.encodeCall(IServing.closeEmptyAccounts, (user, 2))
        ];
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(all[which % 4]);
            (bool success, ) = address(serving).call(calls[i]);
            vm.assertTrue(!success, "I27: somebody acted as the ledger");
        }
    }

    function _settle(uint256 which, uint64 step, uint256 wrong, bytes32[] memory items) private {
        address provider = providers[which];
        uint64 nonce = wrong == 1 ? lastNonce[which] : lastNonce[which] + step;
        bytes memory signature = _sign(wrong == 2 ? STRANGE_KEY : KEY, wrong == 3 ? users[0] : provider, nonce, items);
        if (wrong == 4) items[0] ^= bytes32(uint256(1 << 40));
        if (wrong == 5) registry.revoke(vm.addr(KEY));
        Before[2] memory before = [_before(0, which, items), _before(1, which, items)];
        uint256 earnings = serving.earningsOf(provider);
        try serving.settleBatch(provider, nonce, bytes32(0), items, signature) {
            vm.assertTrue(wrong != 1, "I28: a nonce was settled twice");
            vm.assertTrue(wrong == 0 || wrong > 5, "I34: a batch was settled that no attested signer signed");
            lastNonce[which] = nonce;
            (_settledBy, _settledNonce, _settledItems) = (which, nonce, items);
            uint256 total = 0;
            for (uint256 who = 0; who < 2; ++who) total += _check(who, which, before[who]);
            earned[which] += total;
            vm.assertEq(serving.earningsOf(provider) - earnings, total, "I33: earned is what was charged");
        } catch {}
        if (wrong == 5) registry.attest(vm.addr(KEY), type(uint40).max);
    }

    function _before(uint256 who, uint256 which, bytes32[] memory items) private view returns (Before memory before) {
        before.balance = _balance(who, which);
        before.matured = _matured(who, which);
        for (uint256 i = 0; i < items.length; ++i) {
            uint256 item = uint256(items[i]);
            if (address(uint160(item >> 96)) != users[who]) continue;
            Price memory price = serving.priceOf(providers[which], uint16(item));
            if (price.effectiveAt == 0 || price.effectiveAt > _time) continue;
            if (price.until != 0 && price.until + LOCK_TIME <= _time) continue;
            before.most += uint256(uint40(item >> 56)) * price.inputPrice;
            before.most += uint256(uint40(item >> 16)) * price.outputPrice;
        }
    }

    function _check(uint256 who, uint256 which, Before memory before) private returns (uint256 amount) {
        amount = before.balance - _balance(who, which);
        charged[who] += amount;
        uint256 spent = _spent[who * 2 + which][_time / 1 days];
        _spent[who * 2 + which][_time / 1 days] = spent + amount;
        (uint256 ceiling, ) = serving.ceiling(users[who], providers[which]);
        if (ceiling != 0 && amount != 0) vm.assertLe(spent + amount, ceiling, "I29: more was charged than the ceiling");
        vm.assertLe(amount, before.most, "I30: more was charged than units times price");
        vm.assertEq(_matured(who, which), before.matured, "I31: what could be collected was charged");
        vm.assertLe(before.matured, _balance(who, which), "I31: what could be collected is not there");
    }

    /// Up to three, of both users, of one price or of two.
    function _items(uint40 inputUnits, uint40 outputUnits, uint256 what) private view returns (bytes32[] memory items) {
        (, uint16 latest) = serving.priceVersion(providers[0]);
        what %= 2 ** 64;
        items = new bytes32[](1 + (what % 3));
        for (uint256 i = 0; i < items.length; ++i) {
            // Mostly a price that exists.
            uint16 version = uint16((what / 3 + i * (what % 2)) % (uint256(latest) + 2));
            uint40 input = inputUnits % uint40(what % 4 == 0 ? 1e12 : 1e8);
            items[i] = _item(users[(what + i) % 2], input, outputUnits % 1e8, version);
        }
    }

    // ----

    function _deposit(uint256 who, uint256 amount) private {
        _pay(users[who], amount);
        paidIn[who] += amount;
    }

    function _transfer(uint256 who, uint256 which, uint256 amount) private {
        (address user, address provider) = (users[who], providers[which]);
        if (!_hasLedger(user)) return;
        (bool exists, uint256 back) = serving.cancellableRefund(user, provider);
        if (!exists && !serving.serviceExists(provider)) return;
        if (amount > back && amount - back > _available(user)) return;
        vm.prank(user);
        ledger.transferFund(provider, INFERENCE, amount);
    }

    function _retrieve(uint256 who) private {
        address[] memory list = _list();
        vm.prank(users[who]);
        ledger.retrieveFund(list, INFERENCE);
    }

    function _refund(uint256 who, uint256 amount) private {
        uint256 before = users[who].balance;
        vm.prank(users[who]);
        ledger.refund(amount);
        paidOut[who] += users[who].balance - before;
    }

    function _toggleService(uint256 which) private {
        address provider = providers[which];
        if (serving.serviceExists(provider)) {
            vm.prank(provider);
            serving.removeService();
        } else if (bonds.bonded(serving.bondOf(provider)) == STAKE) {
            _offer(provider, vm.addr(KEY), 1e9, 3e9, 0);
        }
    }

    function _toggleStake(uint256 which) private {
        bytes32 bond = serving.bondOf(providers[which]);
        bool whole = bonds.bonded(bond) == STAKE;
        vm.prank(providers[which]);
        if (whole) bonds.unbond(bond, 1 ether);
        else bonds.rebond(bond, 1 ether);
    }

    function _list() private view returns (address[] memory list) {
        list = new address[](2);
        (list[0], list[1]) = (providers[0], providers[1]);
    }

    function _hasLedger(address user) private view returns (bool) {
        try ledger.getLedger(user) {
            return true;
        } catch {
            return false;
        }
    }

    function _available(address user) private view returns (uint256) {
        try ledger.getLedger(user) returns (Ledger memory found) {
            return found.availableBalance;
        } catch {
            return 0;
        }
    }

    function _balance(uint256 who, uint256 which) private view returns (uint256) {
        if (!serving.accountExists(users[who], providers[which])) return 0;
        return serving.getAccount(users[who], providers[which]).balance;
    }

    /// What could be collected now.
    function _matured(uint256 who, uint256 which) private view returns (uint256) {
        (bool exists, uint256 waits) = serving.cancellableRefund(users[who], providers[which]);
        return exists ? serving.getAccount(users[who], providers[which]).pendingRefund - waits : 0;
    }

    function held(uint256 who) external view returns (uint256 inLedger, uint256[2] memory inServing) {
        return (_available(users[who]), [_balance(who, 0), _balance(who, 1)]);
    }
}

contract InferenceInvariants is TestBase {
    InferenceHandler private _handler;

    function setUp() external {
        _handler = new InferenceHandler();
        targetContract(address(_handler));
    }

    function invariant_I25_I26_eachBalanceIsWhatIsOwed() external view {
        uint256 inLedger = 0;
        uint256 inServing = 0;
        for (uint256 i = 0; i < 2; ++i) {
            (uint256 available, uint256[2] memory accounts) = _handler.held(i);
            inLedger += available;
            inServing += accounts[0] + accounts[1] + _handler.serving().earningsOf(_handler.providers(i));
        }
        vm.assertEq(address(_handler.ledger()).balance, inLedger, "I25: the ledger's balance is what is available");
        vm.assertEq(address(_handler.serving()).balance, inServing, "I26: the balance is accounts and earnings");
    }

    function invariant_I27_aUserHasWhatSheBroughtLessWhatSheTookAndWasCharged() external view {
        for (uint256 i = 0; i < 2; ++i) {
            (uint256 available, uint256[2] memory accounts) = _handler.held(i);
            uint256 there = available + accounts[0] + accounts[1];
            uint256 gone = _handler.paidOut(i) + _handler.charged(i);
            vm.assertEq(there + gone, _handler.paidIn(i), "I27: money of a user is gone, or came from nowhere");
        }
    }

    function invariant_I28_theNonceIsThatOfTheLastBatch() external view {
        for (uint256 i = 0; i < 2; ++i) {
            uint256 nonce = _handler.serving().lastNonce(_handler.providers(i));
            vm.assertEq(nonce, _handler.lastNonce(i), "I28: the nonce of a provider");
        }
    }

    function invariant_I33_earningsAreWhatWasChargedAndNotWithdrawn() external view {
        for (uint256 i = 0; i < 2; ++i) {
            uint256 earnings = _handler.serving().earningsOf(_handler.providers(i));
            vm.assertEq(earnings + _handler.withdrawn(i), _handler.earned(i), "I33: earnings");
        }
        uint256 all = _handler.earned(0) + _handler.earned(1);
        vm.assertEq(all, _handler.charged(0) + _handler.charged(1), "I33: what is earned was charged");
    }

    function invariant_I35_whoCallsAgainWhenPaidGainsNothing() external view {
        uint256 gained = Greedy(payable(_handler.users(0))).gained() + Greedy(payable(_handler.providers(1))).gained();
        vm.assertEq(gained, 0, "I35: a call within a payment succeeded");
    }
}
