// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {EpochContext} from "../../contracts/storage/IFlow.sol";
import {PoraAnswer, PoraParameters, RecallRange, WorkerContext} from "../../contracts/storage/IPoraMine.sol";
import {PoraMine} from "../../contracts/storage/PoraMine.sol";
import {FlowDouble} from "../doubles/FlowDouble.sol";
import {PoraHarness} from "../doubles/PoraHarness.sol";
import {TestBase, vm} from "./TestBase.sol";

uint256 constant LENGTH = 2048;
uint256 constant START_BLOCK = 10_000;
uint256 constant MIN_DIFFICULTY = 2;
address constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
bytes32 constant SEALED_CONTEXT = keccak256("sealed");

/// Miners of a log of two loads: the first is padding, the second holds the same sector over and over. At the lowest difficulties most
/// nonces win, so answers are found here and not only checked. Nothing but a replay may revert.
contract MiningHandler {
    PoraMine public immutable mine;
    FlowDouble private immutable _flow = new FlowDouble();
    PoraHarness private immutable _pora = new PoraHarness();
    bytes32[8] private _nodes; // of the data, from height 4 to 10 and then of both loads
    bytes32 private _padding; // root of the first load
    bytes32[2] public minerIds;

    uint256 public epoch;
    uint256 public accepted; // in this epoch
    uint256 public wanted = 3; // answers per epoch, from the next on
    uint256 public ruled = 3; // answers that this epoch aims at
    uint256 public target; // of the epoch mined last
    uint256 public replayed;
    PoraAnswer private _last;

    constructor() {
        vm.roll(START_BLOCK);
        // EIP-2935, reduced to one answer
        vm.etch(HISTORY, abi.encodePacked(hex"7f", keccak256("start"), hex"5f5260205ff3"));
        PoraParameters memory rules = PoraParameters({
            difficulty: MIN_DIFFICULTY * 4,
            targetMineBlocks: 1000,
            targetSubmissions: wanted,
            difficultyAdjustRatio: 2,
            maxShards: 1,
            nSubtasks: 1,
            subtaskInterval: 0,
            minDifficulty: MIN_DIFFICULTY
        });
        bytes memory setUp = abi.encodeCall(
            PoraMine.initialize,
            (address(new AccessManager(address(this))), address(_flow), address(0), rules)
        );
        mine = PoraMine(address(new ERC1967Proxy(address(new PoraMine()), setUp)));
        for (uint64 i = 0; i < 2; ++i) minerIds[i] = mine.requestMinerId(address(this), i);
        target = mine.poraTarget();
        _growLog();
        _flow.setRange(SEALED_CONTEXT, 1, uint128(LENGTH));
        _open(1);
    }

    function mineAndAnswer(uint256 who, bytes32 nonce, uint256 sealOffset) external {
        vm.roll(START_BLOCK);
        WorkerContext memory work = mine.computeWorkerContext(minerIds[who % 2]);
        if (accepted == 0) _checkTarget(work.poraTarget);
        if (accepted >= 2 * ruled) {
            vm.assertEq(work.poraTarget, 0, "I16: a full epoch has no work");
            return;
        }
        PoraAnswer memory answer = _answer(minerIds[who % 2], nonce, sealOffset % 64);
        (bool wins, uint256 load) = _evaluate(answer, work);
        if (!wins || load != 1024) return;
        mine.submit(answer);
        ++accepted;
        target = mine.poraTarget();
        _last = answer;
    }

    /// The last answer again, in this epoch or a later one: as it was, for another seal, or for another miner.
    function replay(uint256 what) external {
        vm.roll(START_BLOCK);
        if (_last.minerId == 0) return;
        PoraAnswer memory again = _last;
        if (what % 3 == 1) again.sealOffset ^= 1;
        if (what % 3 == 2) again.minerId = minerIds[0] == again.minerId ? minerIds[1] : minerIds[0];
        try mine.submit(again) {
            ++replayed;
        } catch {}
    }

    function nextEpoch(uint256 skip) external {
        vm.roll(START_BLOCK);
        _open(epoch + 1 + (skip % 3));
    }

    function setTargetSubmissions(uint256 next) external {
        vm.roll(START_BLOCK);
        wanted = 1 + (next % 4);
        mine.setTargetSubmissions(wanted);
        if (accepted == 0) ruled = wanted;
    }

    function _open(uint256 next) private {
        epoch = next;
        accepted = 0;
        ruled = wanted;
        _flow.setContext(
            EpochContext({
                epoch: next,
                mineStart: START_BLOCK - 300,
                flowRoot: _nodes[7],
                flowLength: LENGTH,
                blockDigest: bytes32(next),
                digest: _digest()
            })
        );
    }

    function _checkTarget(uint256 announced) private view {
        vm.assertLe(announced, type(uint256).max / MIN_DIFFICULTY, "I18: the target respects the lowest difficulty");
    }

    function _digest() private view returns (bytes32) {
        return keccak256(abi.encode("epoch", epoch));
    }

    function _growLog() private {
        bytes32 sector = keccak256(_sector());
        for (uint256 height = 0; height < 4; ++height) sector = keccak256(abi.encode(sector, sector));
        for (uint256 i = 0; i < 7; ++i) {
            _nodes[i] = sector;
            sector = keccak256(abi.encode(sector, sector));
        }
        _padding = keccak256("padding");
        _nodes[7] = keccak256(abi.encode(_padding, _nodes[6]));
    }

    function _sector() private pure returns (bytes memory data) {
        for (uint256 i = 0; i < 8; ++i) data = abi.encodePacked(data, bytes32(uint256(1)));
    }

    function _answer(
        bytes32 minerId,
        bytes32 nonce,
        uint256 sealOffset
    ) private view returns (PoraAnswer memory answer) {
        answer.contextDigest = _digest();
        answer.nonce = nonce;
        answer.minerId = minerId;
        answer.range = RecallRange(0, LENGTH, 0, type(uint64).max);
        answer.recallPosition = 1024 + 16 * sealOffset;
        answer.sealOffset = sealOffset;
        answer.sealedContextDigest = SEALED_CONTEXT;
        bytes32 mask = keccak256(abi.encode(minerId, SEALED_CONTEXT, answer.recallPosition));
        for (uint256 i = 0; i < 128; ++i) {
            answer.sealedData[i] = bytes32(uint256(1)) ^ mask;
            mask = keccak256(abi.encode(answer.sealedData[i]));
        }
        answer.merkleProof = new bytes32[](7);
        for (uint256 i = 0; i < 6; ++i) answer.merkleProof[i] = _nodes[i];
        answer.merkleProof[6] = _padding;
    }

    function _evaluate(
        PoraAnswer memory answer,
        WorkerContext memory work
    ) private view returns (bool wins, uint256 load) {
        (bytes32 seed0, bytes32 seed1) = _pora.padSeed(
            answer.minerId,
            answer.nonce,
            work.subtaskDigest,
            _pora.digest(answer.range)
        );
        (bytes32 recallSeed, bytes32 quality) = _pora.evaluate(seed0, seed1, answer.sealOffset, answer.sealedData);
        load = _pora.load(answer.range, recallSeed);
        wins = uint256(quality) <= _pora.shardTarget(work.poraTarget, LENGTH, 1) && !_isLast(answer);
    }

    function _isLast(PoraAnswer memory answer) private view returns (bool) {
        return
            answer.nonce == _last.nonce &&
            answer.minerId == _last.minerId &&
            answer.contextDigest == _last.contextDigest &&
            answer.sealOffset == _last.sealOffset;
    }
}

contract PoraMineInvariants is TestBase {
    MiningHandler private _handler;

    function setUp() external {
        _handler = new MiningHandler();
        targetContract(address(_handler));
    }

    function invariant_I13_aWinningSealIsPaidOnce() external view {
        vm.assertEq(_handler.replayed(), 0, "I13: a replay was accepted");
    }

    function invariant_I16_anEpochTakesTwiceWhatItAimsAt() external view {
        PoraMine mine = _handler.mine();
        vm.assertLe(mine.currentSubmissions(), 2 * mine.targetSubmissions(), "I16: too many answers in an epoch");
        if (_handler.accepted() == 0) return;
        vm.assertEq(mine.lastMinedEpoch(), _handler.epoch(), "I16: the epoch mined last");
        vm.assertEq(mine.currentSubmissions(), _handler.accepted(), "I16: every accepted answer is counted once");
    }

    function invariant_I17_rulesOfAMinedEpochStay() external view {
        if (_handler.accepted() == 0) return;
        vm.assertEq(_handler.mine().targetSubmissions(), _handler.ruled(), "I17: the rules changed while mining");
    }

    function invariant_I18_theTargetRespectsTheLowestDifficulty() external view {
        uint256 target = _handler.mine().poraTarget();
        vm.assertLe(target, type(uint256).max / MIN_DIFFICULTY, "I18: the target exceeds the lowest difficulty");
        vm.assertTrue(target != 0, "I18: the target vanished");
    }
}
