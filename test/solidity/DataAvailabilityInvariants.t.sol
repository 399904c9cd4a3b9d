// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {DataAvailability} from "../../contracts/da/DataAvailability.sol";
import {IDACertificates} from "../../contracts/da/IDACertificates.sol";
import {IDAEpochs} from "../../contracts/da/IDAEpochs.sol";
import {RowShares} from "../../contracts/da/RowShares.sol";
import {BN254, G1Point} from "../../contracts/lib/BN254.sol";
import {PrevRandao} from "../../contracts/randomness/PrevRandao.sol";
import {Bonds} from "../../contracts/stake/Bonds.sol";
import {IBonds} from "../../contracts/stake/IBonds.sol";
import {BlsKeys} from "./BlsKeys.sol";
import {TestBase, vm} from "./TestBase.sol";

uint256 constant SIGNERS = 5;
uint64 constant EPOCH_LENGTH = 1 hours;
uint64 constant CHALLENGE_TIME = 3 hours;
uint96 constant MIN_STAKE = 100;

/// What a signer had bonded when somebody advanced, and what had been taken from it until then.
struct Reading {
    uint256 readAt;
    uint256 bonded;
    uint256 taken;
}

struct Certified {
    bytes32 root;
    uint64 epoch;
    uint64 certifiedAt;
    bytes absent;
}

/// Stake that must not leave before `until`: `weight`, less what was taken beyond `taken`.
struct Liability {
    uint256 signer;
    uint256 weight;
    uint256 taken;
    uint256 until;
}

/// Five signers whose stakes come and go, builders of epochs that take few steps, and disputes over who signed what.
contract DataAvailabilityHandler {
    DataAvailability public da;
    Bonds public bonds = new Bonds();
    address public constant CHALLENGES = address(0xC4A1);
    uint256 private constant FIRST_KEY = 0xACC0;

    uint256 public time = 1_900_000_000;
    uint256[SIGNERS] public taken;
    Reading[][SIGNERS] private _readings;
    bytes32[] private _epochs;
    uint256[] private _startedAt;
    Certified[] private _certified;
    Liability[] private _liabilities;
    uint256 private _batches;

    constructor() {
        vm.warp(time);
        vm.deal(address(this), 2 ** 128);
        address authority = address(new AccessManager(address(this)));
        address implementation = address(
            new DataAvailability(address(bonds), address(new PrevRandao()), CHALLENGES, EPOCH_LENGTH, CHALLENGE_TIME)
        );
        bytes memory initialize = abi.encodeCall(DataAvailability.initialize, (authority, MIN_STAKE, 2));
        da = DataAvailability(address(new ERC1967Proxy(implementation, initialize)));
        for (uint256 i = 0; i < SIGNERS; ++i) {
            bond(i, 400);
            bytes32 possession = da.possessionDigest(account(i));
            (uint8 counter, G1Point memory hash) = BlsKeys.hashed(possession);
            uint256 secret = 1 << i;
            G1Point memory proof = BlsKeys.sign(possession, secret);
            G1Point memory key = BlsKeys.inG1(secret);
            vm.prank(account(i));
            da.register(key, BlsKeys.inG2(secret), proof, counter, hash.y, "signer");
        }
    }

    function account(uint256 i) public pure returns (address) {
        return vm.addr(FIRST_KEY + i);
    }

    function liabilities() external view returns (Liability[] memory) {
        return _liabilities;
    }

    function certified() external view returns (Certified[] memory) {
        return _certified;
    }

    /// Hashes of epochs when they began, from the first.
    function epochs() external view returns (bytes32[] memory, uint256[] memory) {
        return (_epochs, _startedAt);
    }

    // ---- stake

    function bond(uint256 who, uint16 amount) public {
        if (amount == 0) return;
        address[] memory arbiters = new address[](1);
        arbiters[0] = CHALLENGES;
        bonds.bond{value: amount}(account(who % SIGNERS), arbiters, da.bondDelay());
    }

    function unbond(uint256 who, uint256 amount) external {
        bytes32 id = da.bondIdOf(account(who % SIGNERS));
        uint256 bonded = bonds.bonded(id);
        if (bonded == 0) return;
        vm.warp(time);
        vm.prank(account(who % SIGNERS));
        bonds.unbond(id, uint128(1 + (amount % bonded)));
    }

    /// Whatever may leave leaves at once.
    function withdraw(uint256 who) external {
        address party = account(who % SIGNERS);
        bytes32 id = da.bondIdOf(party);
        vm.warp(time);
        vm.prank(party);
        try bonds.withdraw(id, payable(party)) {} catch {}
    }

    function slash(uint256 who, uint8 amount) external {
        bytes32 id = da.bondIdOf(account(who % SIGNERS));
        vm.prank(CHALLENGES);
        taken[who % SIGNERS] += bonds.slash(id, amount, CHALLENGES);
    }

    function resign(uint256 who) external {
        vm.prank(account(who % SIGNERS));
        try da.resign() {} catch {}
    }

    function join(uint256 who) external {
        vm.prank(account(who % SIGNERS));
        try da.join() {} catch {}
    }

    // ---- epochs

    function pass(uint256 seconds_) external {
        time += seconds_ % 3 hours;
    }

    function passDay() external {
        time += 1 days;
    }

    function advance(uint256 steps) external {
        vm.warp(time);
        vm.prevrandao(keccak256(abi.encode(time, steps)));
        for (uint256 i = 0; i < SIGNERS; ++i)
            _readings[i].push(Reading(time, bonds.bonded(da.bondIdOf(account(i))), taken[i]));
        try da.advance(steps % 8) returns (bool started) {
            if (started) _began();
        } catch {}
    }

    function _began() private {
        uint64 epoch = da.currentEpoch();
        vm.assertEq(epoch, _epochs.length + 1, "I55: epochs count up");
        if (epoch > 1) vm.assertLe(_startedAt[epoch - 2] + EPOCH_LENGTH, time, "I55: an epoch began before it was due");
        _epochs.push(epochHash(epoch));
        _startedAt.push(time);
        IDAEpochs.Epoch memory info = da.epochInfo(epoch);
        IDAEpochs.Member[] memory all = da.members(epoch, 0, SIGNERS);
        uint256 sum = 0;
        G1Point memory key;
        for (uint256 i = 0; i < all.length; ++i) {
            sum += all[i].weight;
            vm.assertTrue(BN254.addTo(key, all[i].key.x, all[i].key.y), "I51: a key is a point");
            vm.assertTrue(_reading(all[i]).bonded == all[i].weight, "I50: a weight that was not bonded within a day");
            vm.assertLe(MIN_STAKE, all[i].weight, "I50: a member with too little stake");
        }
        vm.assertEq(info.members, all.length, "I51: the number of members");
        vm.assertLe(2, all.length, "I51: too few members");
        vm.assertEq(info.totalWeight, sum, "I51: weights add up to the total");
        vm.assertTrue(key.x == info.aggregateKey.x && key.y == info.aggregateKey.y, "I51: keys add up to the key");
        _checkShares(info, all);
    }

    function _checkShares(IDAEpochs.Epoch memory info, IDAEpochs.Member[] memory all) private pure {
        for (uint256 code = 0; code < RowShares.CODES; ++code) {
            uint256 slot = 0;
            bool allowed = (info.codes >> code) & 1 == 1;
            for (uint256 i = 0; i < all.length; ++i) {
                if (allowed) vm.assertEq(all[i].firstSlot[code], slot, "I52: a share begins where the one before ends");
                slot += RowShares.rowsOf(code, all[i].weight, info.totalWeight);
            }
            vm.assertTrue(allowed == (slot <= RowShares.totalRows(code)), "I52: a code is allowed when its shares fit");
        }
    }

    /// What was read of a member within a day before now: the latest that says so.
    function _reading(IDAEpochs.Member memory member) private view returns (Reading memory none) {
        Reading[] storage readings = _readings[member.id - 1];
        for (uint256 i = readings.length; i != 0; --i) {
            Reading memory reading = readings[i - 1];
            if (reading.readAt + 1 days <= time) break;
            if (reading.bonded == member.weight) return reading;
        }
    }

    function epochHash(uint64 epoch) public view returns (bytes32) {
        return keccak256(abi.encode(da.epochInfo(epoch), da.members(epoch, 0, SIGNERS)));
    }

    /// A row has at most one owner, and in the codes of five members or fewer all ask the same.
    function holdsOne(bytes32 blobId, uint8 code, uint32 row) external view {
        uint64 epoch = da.currentEpoch();
        if (epoch == 0 || (da.epochInfo(epoch).codes >> (code % 5)) & 1 == 0) return;
        uint256 owners = 0;
        uint256 rows = RowShares.totalRows(code % 5);
        for (uint256 i = 0; i < SIGNERS; ++i)
            if (da.holds(epoch, i, blobId, 6 + 2 * (code % 5), uint32(row % rows))) ++owners;
        vm.assertLe(owners, 1, "I52: a row has two owners");
    }

    // ---- certificates

    /// Those in the mask `signers` sign, those in the mask `absent` are said not to have; `back` epochs ago. Certified exactly if that is so, and enough.
    function certify(uint256 signers, uint256 absent, uint256 back, bool byList) external {
        uint64 epoch = da.currentEpoch();
        if (epoch <= back % 3) return;
        epoch -= uint64(back % 3);
        // Half of the time everybody tells the truth.
        if (absent & 32 == 0) absent = ~signers;
        IDAEpochs.Member[] memory all = da.members(epoch, 0, SIGNERS);
        bytes32 root = keccak256(abi.encode("batch", ++_batches));
        bytes32 digest = da.digest(epoch, root);
        vm.warp(time);
        bool success = _send(root, epoch, digest, all, signers, absent, byList);
        (uint256 weight, bool truth) = _weightOf(all, signers, absent);
        bool open = epoch + 1 >= da.currentEpoch() && time < uint256(_startedAt[epoch - 1]) + 4 * uint256(EPOCH_LENGTH);
        bool enough = 3 * weight >= 2 * uint256(da.epochInfo(epoch).totalWeight);
        vm.assertTrue(success == (truth && open && enough), "I49: certified if, and only if, it was signed by enough");
        if (success) _remember(root, epoch, all, absent);
    }

    /// Everybody signs something else than what is certified.
    function replay(uint256 what, bool byList) external {
        uint64 epoch = da.currentEpoch();
        if (epoch == 0) return;
        bytes32 root = keccak256(abi.encode("batch", ++_batches));
        (uint256 chain, address contract_, uint64 signedEpoch, bytes32 signedRoot) = (
            block.chainid,
            address(da),
            epoch,
            root
        );
        if (what % 4 == 0) chain += 1;
        if (what % 4 == 1) contract_ = address(bonds);
        if (what % 4 == 2) signedEpoch = what & 8 == 0 ? epoch - 1 : epoch + 1;
        if (what % 4 == 3) signedRoot = keccak256(abi.encode("batch", _batches - 1));
        bytes32 digest = keccak256(abi.encode(keccak256("DACert v1"), chain, contract_, signedEpoch, signedRoot));
        vm.warp(time);
        bool success = _send(root, epoch, digest, da.members(epoch, 0, SIGNERS), type(uint256).max, 0, byList);
        vm.assertTrue(!success, "I56: what was signed for another chain, contract, epoch or batch counted");
    }

    /// A batch that is certified can't be again.
    function certifyAgain(uint256 which, bool byList) external {
        if (_certified.length == 0) return;
        bytes32 root = _certified[which % _certified.length].root;
        uint64 epoch = da.currentEpoch();
        bytes32 digest = da.digest(epoch, root);
        vm.warp(time);
        bool success = _send(root, epoch, digest, da.members(epoch, 0, SIGNERS), type(uint256).max, 0, byList);
        vm.assertTrue(!success, "I54: a batch was certified twice");
    }

    /// Sends the signatures of `digest` by `signers` as a certificate of `root`.
    function _send(
        bytes32 root,
        uint64 epoch,
        bytes32 digest,
        IDAEpochs.Member[] memory all,
        uint256 signers,
        uint256 absent,
        bool byList
    ) private returns (bool success) {
        bytes memory list = _absentList(all.length, absent);
        if (byList) {
            bytes memory signatures;
            for (uint256 i = 0; i < all.length; ++i) {
                if ((signers >> i) & 1 == 0) continue;
                (uint8 v, bytes32 r, bytes32 s) = vm.sign(FIRST_KEY + all[i].id - 1, digest);
                signatures = abi.encodePacked(signatures, r, s, v);
            }
            (success, ) = address(da).call(
                abi.encodeCall(IDACertificates.certifyBySignatures, (root, epoch, list, signatures))
            );
            return success;
        }
        uint256 secret = 0;
        for (uint256 i = 0; i < all.length; ++i) if ((signers >> i) & 1 == 1) secret += 1 << (all[i].id - 1);
        if (secret == 0) return false;
        IDACertificates.AggregateSignature memory aggregate;
        (aggregate.signature, aggregate.key) = (BlsKeys.sign(digest, secret), BlsKeys.inG2(secret));
        G1Point memory hash;
        (aggregate.counter, hash) = BlsKeys.hashed(da.digest(epoch, root));
        aggregate.y = hash.y;
        (success, ) = address(da).call(abi.encodeCall(IDACertificates.certify, (root, epoch, list, aggregate)));
    }

    function _absentList(uint256 members, uint256 absent) private pure returns (bytes memory list) {
        for (uint256 i = 0; i < members; ++i) if ((absent >> i) & 1 == 1) list = abi.encodePacked(list, uint16(i));
    }

    /// Weight of those that sign, and whether exactly the others are said to be absent.
    function _weightOf(
        IDAEpochs.Member[] memory all,
        uint256 signers,
        uint256 absent
    ) private pure returns (uint256 weight, bool truth) {
        truth = true;
        for (uint256 i = 0; i < all.length; ++i) {
            if ((signers >> i) & 1 == 1) weight += all[i].weight;
            if ((signers >> i) & 1 == (absent >> i) & 1) truth = false;
        }
    }

    function _remember(bytes32 root, uint64 epoch, IDAEpochs.Member[] memory all, uint256 absent) private {
        _certified.push(Certified(root, epoch, uint64(time), _absentList(all.length, absent)));
        for (uint256 i = 0; i < all.length; ++i) {
            if ((absent >> i) & 1 == 1) continue;
            _liabilities.push(
                Liability({
                    signer: all[i].id - 1,
                    weight: all[i].weight,
                    taken: _takenBefore(all[i], _startedAt[epoch - 1]),
                    until: time + CHALLENGE_TIME
                })
            );
        }
    }

    /// What had been taken from a member when its weight was read, at most a day before its epoch began.
    function _takenBefore(IDAEpochs.Member memory member, uint256 startedAt) private view returns (uint256) {
        Reading[] storage readings = _readings[member.id - 1];
        for (uint256 i = 0; i < readings.length; ++i) {
            Reading memory reading = readings[i];
            if (reading.readAt + 1 days > startedAt && reading.bonded == member.weight) return reading.taken;
        }
        return 0;
    }
}

contract DataAvailabilityInvariants is TestBase {
    DataAvailabilityHandler private _handler;

    function setUp() external {
        _handler = new DataAvailabilityHandler();
        targetContract(address(_handler));
    }

    /// forge-config: default.invariant.runs = 40
    function invariant_I53_stakeStaysWhileItCanBeSlashed() external view {
        Liability[] memory all = _handler.liabilities();
        DataAvailability da = _handler.da();
        for (uint256 i = 0; i < all.length; ++i) {
            if (_handler.time() > all[i].until) continue;
            IBonds.Bond memory found = _handler.bonds().bondOf(da.bondIdOf(_handler.account(all[i].signer)));
            uint256 since = _handler.taken(all[i].signer) - all[i].taken;
            vm.assertLe(all[i].weight, uint256(found.bonded) + found.unbonding + since, "I53: stake left too early");
        }
    }

    /// forge-config: default.invariant.runs = 40
    function invariant_I54_certificatesStayAsTheyWereMade() external view {
        Certified[] memory all = _handler.certified();
        DataAvailability da = _handler.da();
        for (uint256 i = 0; i < all.length; ++i) {
            (uint64 epoch, uint64 certifiedAt) = da.certificateOf(all[i].root);
            vm.assertTrue(epoch == all[i].epoch && certifiedAt == all[i].certifiedAt, "I54: a certificate changed");
            vm.assertTrue(da.isAbsentList(all[i].root, all[i].absent), "I54: who was absent changed");
        }
    }

    /// forge-config: default.invariant.runs = 40
    function invariant_I55_epochsStayAsTheyBegan() external view {
        (bytes32[] memory epochs, ) = _handler.epochs();
        vm.assertEq(_handler.da().currentEpoch(), epochs.length, "I55: epochs count up");
        for (uint64 i = 0; i < epochs.length; ++i)
            vm.assertEq(_handler.epochHash(i + 1), epochs[i], "I55: an epoch changed");
    }
}
