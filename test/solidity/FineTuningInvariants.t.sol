// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {FineTuningServing} from "../../contracts/compute/FineTuningServing.sol";
import {
    Deliverable,
    DeliverableState,
    DeliverableTerms,
    FineTuningAccount,
    Quota,
    VerifierInput
} from "../../contracts/compute/IFineTuningServing.sol";
import {Uuid} from "../../contracts/lib/Uuid.sol";
import {Bonds} from "../../contracts/stake/Bonds.sol";
import {TestBase, vm} from "./TestBase.sol";

interface Signing {
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function addr(uint256 key) external pure returns (address);
}

Signing constant signing = Signing(address(vm));

/// What was told of a deliverable, beside what the contract says.
struct Told {
    string id;
    uint256 pair;
    uint256 fee;
    uint256 paid;
}

/// Two users and two providers, and the ledger itself. Nothing here may revert but what is tried on purpose. Keeps its own books.
contract FineTuningHandler {
    uint256 private constant KEY = 0x7EE;
    bytes32 private constant ROOT = keccak256("model");
    uint256 private constant LOCK_TIME = 1 days;

    FineTuningServing public tuning;
    address[2] public users = [address(0xA1), address(0xA2)];
    address[2] public providers = [address(0xB1), address(0xB2)];
    uint256[2] public earned;
    uint256[2] public withdrawn;
    uint256[4] public lastNonce;
    Told[] private _told;
    VerifierInput private _lastInput;
    uint256 private _lastPair;
    uint256 private _time = block.timestamp;

    constructor() {
        vm.deal(address(this), 2 ** 128);
        address authority = address(new AccessManager(address(this)));
        address implementation = address(new FineTuningServing(address(0), address(new Bonds()), address(0xDD)));
        bytes memory initialization = abi.encodeCall(
            FineTuningServing.initialize,
            (authority, address(this), LOCK_TIME)
        );
        tuning = FineTuningServing(payable(address(new ERC1967Proxy(implementation, initialization))));
        for (uint256 i = 0; i < 2; ++i) {
            vm.deal(providers[i], 100 ether);
            vm.prank(providers[i]);
            tuning.addOrUpdateService{value: 100 ether}(
                "url",
                Quota(1, 1, 1, 1, ""),
                1,
                false,
                new string[](0),
                signing.addr(KEY)
            );
        }
        for (uint256 pair = 0; pair < 4; ++pair) _deposit(pair, 1 ether);
    }

    /// Of the ledger: money comes back.
    receive() external payable {}

    function additionalInfoOf(address) external pure returns (string memory) {
        return "";
    }

    function told() external view returns (Told[] memory) {
        return _told;
    }

    function deposit(uint256 pair, uint64 amount) external {
        vm.warp(_time);
        _deposit(pair % 4, amount);
    }

    function ask(uint256 pair) external {
        vm.warp(_time);
        _retrieve(pair % 4);
    }

    /// All of it, whatever the provider did or does not do.
    function exit(uint256 pair) external {
        pair %= 4;
        vm.warp(_time);
        _retrieve(pair);
        _time += LOCK_TIME;
        vm.warp(_time);
        _retrieve(pair);
        vm.assertTrue(!tuning.accountExists(_user(pair), _provider(pair)), "I39: a user could not leave");
        _deposit(pair, 1 ether);
    }

    function pass(uint256 time) external {
        _time += time % 9 hours;
    }

    function deliver(uint256 pair, uint64 fee) external {
        pair %= 4;
        vm.warp(_time);
        string memory id = Uuid.format(bytes16(keccak256(abi.encode(_told.length))));
        vm.prank(_provider(pair));
        // The one before may wait, or the ring be full of what was not settled.
        try tuning.addDeliverable(_user(pair), id, abi.encodePacked(ROOT), fee) {
            _told.push(Told(id, pair, fee, 0));
        } catch {}
    }

    function acknowledge(uint256 which) external {
        if (_told.length == 0) return;
        vm.warp(_time);
        Told storage one = _recent(which);
        vm.prank(_user(one.pair));
        try tuning.acknowledgeDeliverable(_provider(one.pair), one.id) {} catch {}
    }

    /// As it should be, or with one thing wrong.
    function settle(uint256 which, uint256 nonce, uint256 wrong) external {
        if (_told.length == 0) return;
        vm.warp(_time);
        Told storage one = _recent(which);
        (bool found, DeliverableTerms memory terms) = _terms(one);
        if (!found) return;
        uint256 pair = one.pair;
        VerifierInput memory input;
        input.id = one.id;
        input.user = _user(pair);
        input.modelRootHash = abi.encodePacked(ROOT);
        input.taskFee = one.fee;
        // Now and then one that was used.
        input.nonce = lastNonce[pair] + (nonce % 4);
        bool withSecret = terms.state == DeliverableState.Acknowledged || terms.state == DeliverableState.Owed;
        if (wrong % 8 == 1) withSecret = !withSecret;
        if (withSecret) input.encryptedSecret = new bytes(129);
        if (wrong % 8 == 2) ++input.taskFee;
        _sign(input, wrong % 8 == 3 ? _provider(pair ^ 1) : _provider(pair));
        _lastPair = pair;
        _lastInput = input;
        _settle(one, input, wrong % 8);
    }

    /// The last one again, as it was.
    function replay(uint256 who) external {
        if (_lastPair != who % 4 || _told.length == 0 || _lastInput.nonce > lastNonce[_lastPair]) return;
        vm.warp(_time);
        vm.prank(_provider(_lastPair));
        try tuning.settleFees(_lastInput) {
            vm.assertTrue(false, "I40: a nonce was used twice");
        } catch {}
    }

    function reclaim(uint256 which) external {
        if (_told.length == 0) return;
        Told storage one = _recent(which);
        (bool found, DeliverableTerms memory terms) = _terms(one);
        if (!found || terms.state != DeliverableState.Owed) return;
        if (_time <= terms.handOverBy) _time = terms.handOverBy + 1;
        vm.warp(_time);
        uint256 before = address(this).balance;
        vm.prank(_user(one.pair));
        tuning.reclaimDeliverable(_provider(one.pair), one.id, payable(address(this)));
        vm.assertEq(address(this).balance - before, terms.held, "I42: what was held did not come back");
    }

    function abandon(uint256 which) external {
        if (_told.length == 0) return;
        Told storage one = _recent(which);
        vm.prank(_provider(one.pair));
        try tuning.abandonDeliverable(_user(one.pair), one.id) {
            vm.assertEq(one.paid, 0, "I38: what was paid for was given up");
        } catch {}
    }

    function withdrawEarnings(uint256 who) external {
        who %= 2;
        uint256 amount = tuning.earningsOf(providers[who]);
        if (amount == 0) return;
        vm.prank(providers[who]);
        tuning.withdrawEarnings(payable(address(this)));
        withdrawn[who] += amount;
    }

    function _settle(Told storage one, VerifierInput memory input, uint256 wrong) private {
        uint256 who = one.pair % 2;
        uint256 before = tuning.earningsOf(providers[who]);
        vm.prank(providers[who]);
        try tuning.settleFees(input) {
            vm.assertTrue(wrong == 0 || wrong > 3, "I38: a settlement passed that is not as it was delivered");
            vm.assertTrue(input.nonce > lastNonce[one.pair], "I40: a nonce that is not new");
            lastNonce[one.pair] = input.nonce;
            uint256 paid = tuning.earningsOf(providers[who]) - before;
            earned[who] += paid;
            one.paid += paid;
        } catch {}
    }

    function _deposit(uint256 pair, uint256 amount) private {
        (address user, address provider) = (_user(pair), _provider(pair));
        if (tuning.accountExists(user, provider)) tuning.depositFund{value: amount}(user, provider, 0);
        else tuning.addAccount{value: amount}(user, provider);
    }

    function _retrieve(uint256 pair) private {
        address[] memory list = new address[](1);
        list[0] = _provider(pair);
        tuning.retrieveFund(_user(pair), list, 1);
    }

    function _terms(Told storage one) private view returns (bool, DeliverableTerms memory none) {
        try tuning.termsOf(_user(one.pair), _provider(one.pair), one.id) returns (DeliverableTerms memory terms) {
            return (true, terms);
        } catch {
            return (false, none);
        }
    }

    /// One of the last few: older ones are evicted or settled mostly.
    function _recent(uint256 which) private view returns (Told storage) {
        uint256 span = _told.length < 8 ? _told.length : 8;
        return _told[_told.length - 1 - (which % span)];
    }

    function _user(uint256 pair) private view returns (address) {
        return users[pair / 2];
    }

    function _provider(uint256 pair) private view returns (address) {
        return providers[pair % 2];
    }

    function _sign(VerifierInput memory input, address provider) private view {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Perigee Fine-Tuning"),
                keccak256("1"),
                block.chainid,
                address(tuning)
            )
        );
        bytes32 settlement = keccak256(
            abi.encode(
                keccak256(
                    "Settlement(address provider,address user,string id,bytes32 modelRootHash,uint256 fee,uint256 nonce,bytes encryptedSecret)"
                ),
                provider,
                input.user,
                keccak256(bytes(input.id)),
                ROOT,
                input.taskFee,
                input.nonce,
                keccak256(input.encryptedSecret)
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = signing.sign(KEY, MessageHashUtils.toTypedDataHash(domain, settlement));
        input.signature = abi.encodePacked(r, s, v);
    }
}

contract FineTuningInvariants is TestBase {
    FineTuningHandler private _handler;

    function setUp() external {
        _handler = new FineTuningHandler();
        targetContract(address(_handler));
    }

    function invariant_I37_theBalanceIsAccountsEarningsAndWhatIsHeld() external view {
        FineTuningServing tuning = _handler.tuning();
        uint256 owed = 0;
        for (uint256 who = 0; who < 2; ++who) {
            uint256 earnings = tuning.earningsOf(_handler.providers(who));
            vm.assertEq(earnings, _handler.earned(who) - _handler.withdrawn(who), "I37: earnings");
            owed += earnings;
        }
        for (uint256 pair = 0; pair < 4; ++pair) {
            (address user, address provider) = (_handler.users(pair / 2), _handler.providers(pair % 2));
            if (tuning.accountExists(user, provider)) owed += tuning.getAccount(user, provider).balance;
            Deliverable[] memory kept = tuning.getDeliverables(user, provider);
            for (uint256 i = 0; i < kept.length; ++i) owed += tuning.termsOf(user, provider, kept[i].id).held;
        }
        vm.assertEq(address(tuning).balance, owed, "I37: the balance is accounts, earnings and what is held");
    }

    function invariant_I38_I41_aDeliverableIsPaidOnceAndItsSecretOnlyThere() external view {
        FineTuningServing tuning = _handler.tuning();
        Told[] memory told = _handler.told();
        for (uint256 i = 0; i < told.length; ++i) {
            Told memory one = told[i];
            vm.assertLe(one.paid, one.fee, "I38: more was paid than the fee");
            (address user, address provider) = (_handler.users(one.pair / 2), _handler.providers(one.pair % 2));
            try tuning.getDeliverable(user, provider, one.id) returns (Deliverable memory shown) {
                if (shown.encryptedSecret.length == 0) continue;
                vm.assertEq(one.paid, one.fee, "I41: a secret is there that was not paid in full");
                vm.assertTrue(shown.settled && shown.acknowledged, "I41: a secret is there without the user");
            } catch {}
        }
    }

    function invariant_I40_theNonceIsThatOfTheLastSettlement() external view {
        FineTuningServing tuning = _handler.tuning();
        for (uint256 pair = 0; pair < 4; ++pair) {
            (address user, address provider) = (_handler.users(pair / 2), _handler.providers(pair % 2));
            if (!tuning.accountExists(user, provider)) continue;
            FineTuningAccount memory account = tuning.getAccount(user, provider);
            vm.assertEq(account.nonce, _handler.lastNonce(pair), "I40: the nonce of an account");
        }
    }
}
