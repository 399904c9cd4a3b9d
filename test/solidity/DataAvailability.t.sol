// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Committee, SEATS} from "../../contracts/da/Committee.sol";
import {DataContract} from "../../contracts/lib/DataContract.sol";
import {IDAEpochs} from "../../contracts/da/IDAEpochs.sol";
import {MemberCode} from "../../contracts/da/MemberCode.sol";
import {RowShares} from "../../contracts/da/RowShares.sol";
import {TestBase, vm} from "./TestBase.sol";

contract DataAvailabilityTest is TestBase {
    /// Any third of the weight holds K rows of every code, however the weights are spread.
    function testFuzz_aThirdOfTheWeightHoldsEnoughRows(uint96[12] calldata weights, uint256 coalition) external pure {
        uint256 total = 0;
        uint256 ofCoalition = 0;
        for (uint256 i = 0; i < 12; ++i) {
            total += uint256(weights[i]) + 1;
            if ((coalition >> i) & 1 == 1) ofCoalition += uint256(weights[i]) + 1;
        }
        if (3 * ofCoalition < total) return;
        for (uint256 code = 0; code < RowShares.CODES; ++code) {
            uint256 rows = 0;
            for (uint256 i = 0; i < 12; ++i)
                if ((coalition >> i) & 1 == 1) rows += RowShares.rowsOf(code, uint256(weights[i]) + 1, total);
            vm.assertLe(64 * 4 ** code, rows, "a third of the weight holds K rows");
        }
    }

    /// All seats are drawn, each by one, and nobody is a seat further from its part than its two ends.
    function testFuzz_seatsAddUpAndFollowStake(bytes32 seed, uint96[12] calldata stakes) external pure {
        uint256 total = 0;
        for (uint256 i = 0; i < 12; ++i) total += uint256(stakes[i]) / 12 + 1;
        uint256 before = 0;
        uint256 sum = 0;
        for (uint256 i = 0; i < 12; ++i) {
            uint256 stake = uint256(stakes[i]) / 12 + 1;
            uint256 seats = Committee.seatsOf(seed, before, stake, total);
            vm.assertLe(seats, (stake * SEATS) / total + 2, "no more than its part and its ends");
            vm.assertLe((stake * SEATS) / total, seats + 1, "no less than its part without its ends");
            before += stake;
            sum += seats;
        }
        vm.assertEq(sum, SEATS, "every seat is somebody's, and one's only");
    }

    function testFuzz_aMemberHoldsItsLeastAndAtMostK(uint96 weight, uint96 others) external pure {
        uint256 total = uint256(weight) + 1 + others;
        uint256[5] memory least = [uint256(64), 135, 145, 147, 148];
        for (uint256 code = 0; code < RowShares.CODES; ++code) {
            uint256 k = 64 * 4 ** code;
            uint256 rows = RowShares.rowsOf(code, uint256(weight) + 1, total);
            vm.assertLe(least[code], rows, "the least rows");
            vm.assertLe(rows, k, "K at most");
            // ceil: one row fewer would be less than its part, unless it is the least.
            if (rows > least[code])
                vm.assertTrue((rows - 1) * total < 3 * k * (uint256(weight) + 1), "no more than its part");
            if (rows < k) vm.assertTrue(rows * total >= 3 * k * (uint256(weight) + 1), "no less than its part");
        }
    }

    function test_codesAreThoseOfTheProtocol() external pure {
        for (uint256 log2K = 0; log2K < 256; ++log2K) {
            uint256 expected = RowShares.CODES;
            for (uint256 code = 0; code < RowShares.CODES; ++code) if (log2K == 6 + 2 * code) expected = code;
            vm.assertEq(RowShares.codeOf(uint8(log2K)), expected, "code of log2 K");
        }
        for (uint256 code = 0; code < RowShares.CODES; ++code)
            vm.assertEq(RowShares.totalRows(code), 256 * 4 ** code, "rows of a code");
    }

    /// forge-config: default.fuzz.runs = 100
    function testFuzz_membersAreReadAsTheyWereWritten(
        IDAEpochs.Member calldata first,
        IDAEpochs.Member calldata second
    ) external {
        bytes memory chunk = new bytes(2 * MemberCode.SIZE);
        MemberCode.put(chunk, 0, first);
        MemberCode.put(chunk, 1, second);
        address pointer = DataContract.write(chunk);
        _check(pointer, 0, first);
        _check(pointer, 1, second);
    }

    function _check(address pointer, uint256 position, IDAEpochs.Member memory member) private view {
        for (uint256 code = 0; code < 5; ++code) member.firstSlot[code] = uint16(member.firstSlot[code]);
        IDAEpochs.Member memory found = MemberCode.get(pointer, position);
        vm.assertEq(keccak256(abi.encode(found)), keccak256(abi.encode(member)), "the member");
        (address account, uint256 weight) = MemberCode.holder(pointer, position);
        vm.assertTrue(account == member.account && weight == member.weight, "its account and weight");
        (uint256 x, uint256 y, uint256 weightOfKey) = MemberCode.keyOf(pointer, position);
        vm.assertTrue(x == member.key.x && y == member.key.y && weightOfKey == member.weight, "its key and weight");
    }
}
