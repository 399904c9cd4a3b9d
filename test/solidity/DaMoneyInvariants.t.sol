// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {AvailabilityChallenges} from "../../contracts/da/AvailabilityChallenges.sol";
import {Blob} from "../../contracts/da/Blob.sol";
import {BlobPayments} from "../../contracts/da/BlobPayments.sol";
import {DataAvailability} from "../../contracts/da/DataAvailability.sol";
import {IAvailabilityChallenges} from "../../contracts/da/IAvailabilityChallenges.sol";
import {IBlobPayments} from "../../contracts/da/IBlobPayments.sol";
import {ISamplingRewards} from "../../contracts/da/ISamplingRewards.sol";
import {SamplingRewards} from "../../contracts/da/SamplingRewards.sol";
import {G1Point} from "../../contracts/lib/BN254.sol";
import {PrevRandao} from "../../contracts/randomness/PrevRandao.sol";
import {Bonds} from "../../contracts/stake/Bonds.sol";
import {IBonds} from "../../contracts/stake/IBonds.sol";
import {DaLibraries} from "../doubles/DaLibraries.sol";
import {BlsKeys} from "./BlsKeys.sol";
import {TestBase, vm} from "./TestBase.sol";

uint256 constant MEMBERS = 3;
uint64 constant ROUND_BLOCKS = 10;
uint64 constant LOCK_TIME = 1 days;
uint64 constant ANSWER_TIME = 2 hours;
uint96 constant PENALTY = 100;
uint256 constant DEPOSIT = 7;
uint32 constant ROW = 5;

/// A blob of which one row is known, in a batch of its own.
struct Known {
    Blob blob;
    bytes32 id;
    bytes32 batchRoot;
    bytes row;
    bytes32[] path;
    uint32 member;
    address account;
}

/// Whenever it is paid, it tries to be paid again by each of the contracts.
contract GreedyChallenger {
    receive() external payable {
        (bool success, ) = msg.sender.call(abi.encodeWithSignature("withdraw(address)", address(this)));
        success;
    }
}

/// Three signers that keep rows and are challenged, payers that are also dispersers, and whoever funds rewards.
contract DaMoneyHandler {
    DataAvailability public da;
    Bonds public bonds = new Bonds();
    BlobPayments public payments;
    SamplingRewards public rewards;
    AvailabilityChallenges public challenges;
    DaLibraries private _libraries = new DaLibraries();
    uint256 private constant FIRST_SIGNER = 0xACC0;
    uint256 private constant FIRST_PAYER = 0xBEE0;

    uint256 private _time = 1_900_000_000;
    uint256 private _block = 1000;
    Known[] private _known;
    uint256[] private _open;
    address[2] public challengers;
    mapping(bytes32 hash => bool) private _redeemed;
    mapping(uint256 round => uint256) private _answers;
    mapping(bytes32 answer => bool) private _answered;
    uint256 public brought;
    uint256 public earned;

    constructor() {
        vm.warp(_time);
        vm.roll(_block);
        vm.deal(address(this), 2 ** 90);
        challengers = [address(new GreedyChallenger()), address(0xCAFE)];
        for (uint256 i = 0; i < 2; ++i) vm.deal(challengers[i], 2 ** 64);
        _deploy(address(new AccessManager(address(this))), address(new PrevRandao()));
        for (uint256 i = 0; i < MEMBERS; ++i) {
            address[] memory arbiters = new address[](1);
            arbiters[0] = address(challenges);
            bonds.bond{value: 1000}(signer(i), arbiters, da.bondDelay());
            bytes32 possession = da.possessionDigest(signer(i));
            (uint8 counter, G1Point memory hash) = BlsKeys.hashed(possession);
            G1Point memory proof = BlsKeys.sign(possession, i + 1);
            G1Point memory key = BlsKeys.inG1(i + 1);
            vm.prank(signer(i));
            da.register(key, BlsKeys.inG2(i + 1), proof, counter, hash.y, "signer");
        }
        vm.prevrandao(keccak256("randomness"));
        da.advance(100);
    }

    function _deploy(address authority, address randomness) private {
        uint256 nonce = vm.getNonce(address(this));
        address proxy = vm.computeCreateAddress(address(this), nonce + 2);
        IAvailabilityChallenges.ChallengeParameters memory rules = IAvailabilityChallenges.ChallengeParameters(
            uint128(DEPOSIT),
            PENALTY,
            ANSWER_TIME,
            30 days
        );
        challenges = new AvailabilityChallenges(proxy, address(bonds), rules);
        address implementation = address(
            new DataAvailability(address(bonds), randomness, address(challenges), 30 days, 30 days + ANSWER_TIME)
        );
        bytes memory initialize = abi.encodeCall(DataAvailability.initialize, (authority, 100, 2));
        da = DataAvailability(address(new ERC1967Proxy(implementation, initialize)));
        implementation = address(new SamplingRewards(proxy, ROUND_BLOCKS, 30 days));
        ISamplingRewards.SamplingParameters memory parameters = ISamplingRewards.SamplingParameters(2, 4, 50);
        initialize = abi.encodeCall(SamplingRewards.initialize, (authority, parameters));
        rewards = SamplingRewards(address(new ERC1967Proxy(implementation, initialize)));
        IBlobPayments.PaymentParameters memory prices = IBlobPayments.PaymentParameters(1, 1, LOCK_TIME, 3333);
        payments = new BlobPayments(authority, proxy, address(rewards), prices);
    }

    function signer(uint256 i) public pure returns (address) {
        return vm.addr(FIRST_SIGNER + i);
    }

    function payer(uint256 i) public pure returns (address) {
        return vm.addr(FIRST_PAYER + i);
    }

    function open() external view returns (uint256[] memory) {
        return _open;
    }

    function answersIn(uint256 round) external view returns (uint256) {
        return _answers[round];
    }

    function pass(uint256 seconds_, uint256 blocks) external {
        _time += seconds_ % 3 hours;
        _block += blocks % 25;
    }

    function _now() private {
        vm.warp(_time);
        vm.roll(_block);
    }

    // ---- blobs

    /// A blob whose row 5 somebody must hold, certified by all or not at all.
    function disperse(bytes32 seed, bool certify) external {
        if (_known.length == 12) return;
        _now();
        Known storage known = _known.push();
        known.row = abi.encodePacked(seed, keccak256(abi.encode(seed)));
        for (uint256 i = 0; i < 8; ++i) known.path.push(keccak256(abi.encode(seed, i)));
        bytes32 root = sha256(abi.encodePacked(hex"00", known.row));
        for (uint256 i = 0; i < 8; ++i) {
            bytes32 sibling = known.path[i];
            bool right = (ROW >> i) & 1 == 1;
            root = sha256(right ? abi.encodePacked(hex"01", sibling, root) : abi.encodePacked(hex"01", root, sibling));
        }
        // The rlc root varies until the row has an owner.
        known.account = address(0);
        for (uint256 salt = 0; known.account == address(0); ++salt) {
            known.blob = Blob(1, 6, 8, 64, 4096, root, keccak256(abi.encode(seed, "rlc", salt)));
            known.id = _libraries.idOf(known.blob);
            _findOwner(known);
        }
        known.batchRoot = keccak256(abi.encodePacked(hex"00", known.id));
        (, uint64 certifiedAt) = da.certificateOf(known.batchRoot);
        if (!certify || certifiedAt != 0) return;
        bytes32 digest = da.digest(1, known.batchRoot);
        bytes memory signatures;
        for (uint256 i = 0; i < MEMBERS; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(FIRST_SIGNER + i, digest);
            signatures = abi.encodePacked(signatures, r, s, v);
        }
        // Nothing is, once the epoch is too old.
        try da.certifyBySignatures(known.batchRoot, 1, "", signatures) {} catch {}
    }

    function _findOwner(Known storage known) private {
        for (uint32 i = 0; i < MEMBERS; ++i) {
            if (!da.holds(1, i, known.id, 6, ROW)) continue;
            known.member = i;
            known.account = da.members(1, i, 1)[0].account;
        }
    }

    function _isCertified(Known storage known) private view returns (bool) {
        (, uint64 certifiedAt) = da.certificateOf(known.batchRoot);
        return certifiedAt != 0;
    }

    // ---- payments

    function deposit(uint256 who, uint16 amount) external {
        if (amount == 0) return;
        payments.deposit{value: amount}(payer(who % 3));
    }

    function requestWithdrawal(uint256 who, uint256 amount) external {
        uint256 available = payments.balanceOf(payer(who % 3)).available;
        if (available == 0) return;
        _now();
        vm.prank(payer(who % 3));
        payments.requestWithdrawal(uint128(1 + (amount % available)));
    }

    /// Leaves as soon as it may, and not sooner.
    function withdrawBalance(uint256 who) external {
        address account = payer(who % 3);
        IBlobPayments.Balance memory balance = payments.balanceOf(account);
        _now();
        vm.prank(account);
        try payments.withdraw(payable(account)) returns (uint256 amount) {
            vm.assertEq(amount, balance.withdrawing, "I59: more was paid out than was asked back");
            vm.assertLe(balance.withdrawableAt, _time, "I59: money left before the lock time");
        } catch {
            vm.assertTrue(balance.withdrawing == 0 || _time < balance.withdrawableAt, "I59: a withdrawal failed");
        }
    }

    /// Of the three payers to each other, some to themselves; `forged`: signed by another payer.
    function redeem(uint256 which, uint8 from, uint8 to, uint16 fee, uint8 nonce, uint256 valid, bool forged) external {
        if (_known.length == 0) return;
        Known storage known = _known[which % _known.length];
        IBlobPayments.PaymentPromise memory terms;
        (terms.payer, terms.disperser, terms.blobId) = (payer(from % 3), payer(to % 3), known.id);
        (terms.fee, terms.nonce, terms.deadline) = (fee, nonce % 4, uint64(_time + (valid % 2 days)) - 1 hours);
        bytes32 hash = payments.promiseHash(terms);
        IBlobPayments.Redemption[] memory redemptions = new IBlobPayments.Redemption[](2);
        redemptions[0].terms = terms;
        {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(FIRST_PAYER + ((forged ? uint256(from) + 1 : from) % 3), hash);
            redemptions[0].signature = abi.encodePacked(r, s, v);
        }
        redemptions[1] = redemptions[0];
        _redeem(known, hash, redemptions, forged);
    }

    function _redeem(Known storage known, bytes32 hash, IBlobPayments.Redemption[] memory both, bool forged) private {
        IBlobPayments.PaymentPromise memory terms = both[0].terms;
        uint256 before = _owned(terms.payer);
        uint256 ofDisperser = _owned(terms.disperser);
        uint256 pooled = address(rewards).balance;
        _now();
        try payments.redeem(known.batchRoot, both) returns (IBlobPayments.Outcome[] memory outcomes) {
            vm.assertTrue(_isCertified(known), "I58: a promise was redeemed without a certificate");
            vm.assertTrue(outcomes[1] != IBlobPayments.Outcome.Redeemed, "I58: a promise was redeemed twice");
            bool redeemed = outcomes[0] == IBlobPayments.Outcome.Redeemed;
            uint256 part = (uint256(terms.fee) * 3333) / 10_000;
            if (redeemed) {
                vm.assertTrue(!forged && !_redeemed[hash], "I58: a promise counts once, as it was signed");
                vm.assertLe(_time, terms.deadline, "I58: a promise was redeemed too late");
                vm.assertLe(terms.fee, before, "I59: a payer paid more than it had");
                _redeemed[hash] = true;
                brought += terms.fee - part;
            }
            uint256 paid = redeemed ? terms.fee : 0;
            part = redeemed ? part : 0;
            vm.assertEq(address(rewards).balance - pooled, paid - part, "I59: the signers' part");
            bool own = terms.payer == terms.disperser;
            vm.assertEq(_owned(terms.payer), before - paid + (own ? part : 0), "I59: a payer pays the fee");
            if (!own) vm.assertEq(_owned(terms.disperser), ofDisperser + part, "I59: the disperser's part");
        } catch {
            vm.assertTrue(!_isCertified(known), "I58: a certified batch was refused");
        }
    }

    function _owned(address account) private view returns (uint256) {
        IBlobPayments.Balance memory balance = payments.balanceOf(account);
        return uint256(balance.available) + balance.withdrawing;
    }

    // ---- rewards

    function fund(uint16 amount, bool donated) external {
        if (donated) rewards.donate{value: amount}();
        else rewards.fund{value: amount}();
        brought += amount;
    }

    function setParameters(uint8 answers, uint16 ratio, uint16 base) external {
        uint16 wanted = 1 + (answers % 4);
        rewards.setParameters(ISamplingRewards.SamplingParameters(wanted, uint32(2 * wanted) + ratio, base));
    }

    /// Shows the row, whether it wins or not.
    function submit(uint256 which) external {
        if (_known.length == 0) return;
        Known storage known = _known[which % _known.length];
        ISamplingRewards.Sample memory sample;
        (sample.batchRoot, sample.blob, sample.member, sample.row) = (known.batchRoot, known.blob, known.member, ROW);
        (sample.chunk, sample.path) = (known.row, known.path);
        _now();
        (uint256 number, , ) = rewards.round();
        (, , uint256 reward) = rewards.pool();
        uint256 before = rewards.rewardsOf(known.account);
        try rewards.submit(sample) {
            vm.assertTrue(_isCertified(known), "I62: a row of a blob that is not certified was rewarded");
            vm.assertEq(rewards.rewardsOf(known.account), before + reward, "I62: the reward is the member's");
            bytes32 shown = keccak256(abi.encode(number, known.id));
            vm.assertTrue(!_answered[shown], "I63: an answer counted twice in a round");
            (_answered[shown], earned) = (true, earned + reward);
            vm.assertLe(++_answers[number], 8, "I61: a round had too many answers");
        } catch {
            vm.assertEq(rewards.rewardsOf(known.account), before, "I62: a refused answer was rewarded");
        }
    }

    function withdrawReward(uint256 who) external {
        address account = signer(who % MEMBERS);
        uint256 owed = rewards.rewardsOf(account);
        vm.prank(account);
        try rewards.withdraw(payable(account)) returns (uint256 amount) {
            vm.assertEq(amount, owed, "I60: what is paid is what was earned");
            (brought, earned) = (brought - amount, earned - amount);
        } catch {
            vm.assertEq(owed, 0, "I60: rewards that can't be withdrawn");
        }
    }

    // ---- challenges

    function challenge(uint256 which, uint256 who) external {
        if (_known.length == 0) return;
        Known storage known = _known[which % _known.length];
        IAvailabilityChallenges.Question memory question;
        (question.batchRoot, question.blob, question.member, question.row) = (
            known.batchRoot,
            known.blob,
            known.member,
            ROW
        );
        _now();
        vm.prank(challengers[who % 2]);
        try challenges.open{value: DEPOSIT}(question) returns (uint256 id) {
            _open.push(id);
        } catch {}
    }

    /// In time or too late.
    function answer(uint256 which) external {
        if (_open.length == 0) return;
        uint256 id = _open[which % _open.length];
        IAvailabilityChallenges.Challenge memory opened = challenges.challenge(id);
        Known storage known = _ofRoot(opened.rowRoot);
        uint256 stake = _there(opened.bond);
        uint256 deposits = challenges.depositsOf(opened.account);
        _now();
        try challenges.answer(id, known.row, known.path) {
            vm.assertLe(_time, opened.deadline, "I64: an answer came too late");
            vm.assertEq(_there(opened.bond), stake, "I64: who answered lost stake");
            vm.assertEq(challenges.depositsOf(opened.account), deposits + DEPOSIT, "I64: who answers gets the deposit");
            _close(which % _open.length);
        } catch {
            vm.assertLe(opened.deadline + 1, _time, "I64: an answer in time was refused");
        }
    }

    function conclude(uint256 which) external {
        if (_open.length == 0) return;
        uint256 id = _open[which % _open.length];
        IAvailabilityChallenges.Challenge memory opened = challenges.challenge(id);
        uint256 stake = _there(opened.bond);
        uint256 compensation = bonds.compensation(opened.challenger);
        uint256 burnt = bonds.compensation(address(0));
        _now();
        try challenges.conclude(id) {
            vm.assertLe(opened.deadline + 1, _time, "I64: a challenge was concluded in time to answer");
            uint256 taken = stake < PENALTY ? stake : PENALTY;
            vm.assertEq(_there(opened.bond), stake - taken, "I64: a miss costs the penalty");
            vm.assertEq(
                bonds.compensation(opened.challenger) - compensation,
                taken / 2,
                "I64: half is the challenger's"
            );
            vm.assertEq(bonds.compensation(address(0)) - burnt, taken - taken / 2, "I64: half is nobody's");
            _close(which % _open.length);
        } catch {
            vm.assertLe(_time, opened.deadline, "I64: a miss was not concluded");
        }
    }

    function withdrawDeposits(uint256 who) external {
        address account = who % 2 == 0 ? challengers[(who / 2) % 2] : signer((who / 2) % MEMBERS);
        uint256 owed = challenges.depositsOf(account);
        uint256 wealth = account.balance;
        vm.prank(account);
        try challenges.withdraw(payable(account)) {} catch {
            vm.assertEq(owed, 0, "I65: deposits that can't be withdrawn");
        }
        vm.assertEq(account.balance - wealth, owed, "I65: deposits are paid once");
    }

    /// A signer asks its stake back, and takes what may leave.
    function takeStake(uint256 who, uint16 amount) external {
        address party = signer(who % MEMBERS);
        bytes32 bond = da.bondIdOf(party);
        uint256 bonded = bonds.bonded(bond);
        _now();
        vm.prank(party);
        if (amount % 2 == 0 && bonded != 0) {
            bonds.unbond(bond, uint128(1 + (amount % bonded)));
        } else {
            try bonds.withdraw(bond, payable(party)) {} catch {}
        }
    }

    function passDays(uint8 days_) external {
        _time += (days_ % 20) * 1 days;
    }

    function _close(uint256 index) private {
        _open[index] = _open[_open.length - 1];
        _open.pop();
    }

    function _there(bytes32 bond) private view returns (uint256) {
        IBonds.Bond memory found = bonds.bondOf(bond);
        return uint256(found.bonded) + found.unbonding;
    }

    function _ofRoot(bytes32 rowRoot) private view returns (Known storage) {
        for (uint256 i = 0; i < _known.length; ++i) if (_known[i].blob.rowRoot == rowRoot) return _known[i];
        revert("unknown root");
    }
}

contract DaMoneyInvariants is TestBase {
    DaMoneyHandler private _handler;

    function setUp() external {
        _handler = new DaMoneyHandler();
        targetContract(address(_handler));
    }

    /// forge-config: default.invariant.runs = 40
    function invariant_I57_theBalanceOfPaymentsIsTheSumOfAccounts() external view {
        BlobPayments payments = _handler.payments();
        uint256 owed = 0;
        for (uint256 i = 0; i < 3; ++i) {
            IBlobPayments.Balance memory balance = payments.balanceOf(_handler.payer(i));
            owed += uint256(balance.available) + balance.withdrawing;
        }
        vm.assertEq(address(payments).balance, owed, "I57: the balance is the sum of all accounts");
    }

    /// forge-config: default.invariant.runs = 40
    function invariant_I60_theBalanceOfRewardsIsThePoolAndWhatWasEarned() external view {
        SamplingRewards rewards = _handler.rewards();
        (uint256 fees, uint256 donated, ) = rewards.pool();
        uint256 owed = 0;
        for (uint256 i = 0; i < MEMBERS; ++i) owed += rewards.rewardsOf(_handler.signer(i));
        vm.assertEq(owed, _handler.earned(), "I60: rewards are what answers earned");
        vm.assertEq(address(rewards).balance, fees + donated + owed, "I60: the balance is the pool and the rewards");
        vm.assertEq(address(rewards).balance, _handler.brought(), "I60: what was brought is there or was paid out");
    }

    /// forge-config: default.invariant.runs = 40
    function invariant_I65_depositsAndLocksAreThoseOfOpenChallenges() external view {
        AvailabilityChallenges challenges = _handler.challenges();
        uint256[] memory open = _handler.open();
        uint256 deposits = open.length * DEPOSIT;
        for (uint256 i = 0; i < 2; ++i) deposits += challenges.depositsOf(_handler.challengers(i));
        Bonds bonds = _handler.bonds();
        for (uint256 i = 0; i < MEMBERS; ++i) {
            address account = _handler.signer(i);
            deposits += challenges.depositsOf(account);
            bytes32 bond = _handler.da().bondIdOf(account);
            uint256 due = 0;
            for (uint256 k = 0; k < open.length; ++k) {
                IAvailabilityChallenges.Challenge memory each = challenges.challenge(open[k]);
                if (each.account == account) due += each.locked;
            }
            IBonds.Bond memory found = bonds.bondOf(bond);
            vm.assertLe(found.locked, due, "I65: more is locked than open challenges locked");
            vm.assertLe(found.locked, uint256(found.bonded) + found.unbonding, "I65: what is locked left");
        }
        vm.assertEq(address(challenges).balance, deposits, "I65: the balance is the deposits");
    }
}
