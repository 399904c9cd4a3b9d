// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {StorageRewards} from "../../contracts/storage/StorageRewards.sol";
import {TestBase, vm} from "./TestBase.sol";

contract StorageRewardsTest is TestBase {
    uint256 private constant CHUNK = 1024;
    uint256 private constant RELEASE = 93 days;
    address private constant MINER = address(0xA11CE);

    StorageRewards private _rewards;
    uint256 private _now = 1_800_000_000;

    function setUp() public {
        vm.warp(_now);
        _rewards = new StorageRewards(address(new AccessManager(address(this))), address(this), CHUNK, RELEASE);
        vm.deal(address(this), type(uint128).max);
    }

    function testFuzz_aFeeIsReleasedLinearlyHoweverOftenTouched(uint96 amount, uint32[6] memory steps) public {
        uint256 start = _now;
        _rewards.fill{value: amount}(0, CHUNK);
        for (uint256 i = 0; i < steps.length; ++i) {
            _pass(steps[i] % RELEASE);
            _rewards.claimMineReward(0, MINER, 0);
            (uint256 locked, uint256 released, ) = _rewards.chunkOf(0);
            vm.assertEq(locked + released + _rewards.payments(MINER), amount, "a fee is neither lost nor made");
            uint256 elapsed = _now - start;
            uint256 due = elapsed < RELEASE ? (uint256(amount) * elapsed) / RELEASE : amount;
            vm.assertLe(uint256(amount) - locked, due, "not released early");
            // Every touch may round down by a wei.
            vm.assertLe(due, uint256(amount) - locked + steps.length, "not released late");
        }
    }

    function testFuzz_allOfTwoFeesIsReleasedByTheLaterEnd(uint64 first, uint64 second, uint32 between) public {
        _rewards.fill{value: first}(0, 1);
        _pass(between % (2 * RELEASE));
        (uint256 lockedBefore, uint256 releasedBefore, uint256 endBefore) = _rewards.chunkOf(0);
        _rewards.fill{value: second}(0, 1);
        (uint256 locked, uint256 released, uint256 end) = _rewards.chunkOf(0);
        vm.assertEq(locked, lockedBefore + second, "a fill locks its amount");
        vm.assertEq(released, releasedBefore, "a fill releases nothing");
        vm.assertLe(endBefore, end, "the end never moves nearer");
        vm.assertLe(end, _now + RELEASE, "the end is at most one release time away");
        _pass(RELEASE);
        (locked, released, ) = _rewards.chunkOf(0);
        vm.assertEq(locked, 0, "nothing stays locked");
        vm.assertEq(released, uint256(first) + second, "all is released");
    }

    function testFuzz_aFillStaysWithinItsRangeAndIsComplete(uint32 startPos, uint24 sectors, uint96 amount) public {
        if (sectors == 0) return;
        _rewards.fill{value: amount}(startPos, sectors);
        uint256 first = startPos / CHUNK;
        uint256 last = (uint256(startPos) + sectors - 1) / CHUNK;
        uint256 sum = 0;
        uint256 filled = 0;
        for (uint256 i = first; i <= last; ++i) {
            (uint256 locked, , ) = _rewards.chunkOf(i);
            sum += locked;
            if (locked != 0) ++filled;
        }
        vm.assertEq(sum, amount, "all of a fill is in the chunks of its range");
        vm.assertLe(filled, _rewards.MAX_CHUNKS_PER_FILL(), "a fill writes a bounded number of chunks");
    }

    function _pass(uint256 time) private {
        _now += time;
        vm.warp(_now);
    }
}
