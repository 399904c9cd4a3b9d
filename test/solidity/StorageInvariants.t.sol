// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EpochRange, SubmissionData, SubmissionNode} from "../../contracts/storage/IFlow.sol";
import {BLOCKS_PER_EPOCH, Deployment, LEASE_PERIOD, StorageDeployment} from "./StorageDeployment.sol";
import {TestBase, vm} from "./TestBase.sol";

/// A customer that takes no money back.
contract Stubborn {}

uint256 constant CHUNK = 4096;

struct Submitted {
    uint256 startPos;
    uint256 sectors;
    uint256 until;
}

/// Everybody who uses the storage contracts, at random: customers (one of whom refuses refunds), the mine, governance and the
/// guardian. Nothing here may revert, so what a pause must not stop is also called during one. Keeps its own books.
contract StorageHandler {
    Deployment private _storage;
    address[4] public actors;
    Submitted[] private _submitted;
    mapping(uint256 chunk => bool) public covered;
    uint256 public charged;
    uint256 public donated;
    uint256 public withdrawn;
    uint256 public lastChunk;
    uint256 private _time = block.timestamp;
    uint256 private _block = block.number;

    /// This contract must be the governor and the mine of what is deployed.
    constructor(Deployment memory deployed) {
        _storage = deployed;
        actors = [address(0xA1), address(0xA2), address(0xA3), address(new Stubborn())];
        for (uint256 i = 0; i < actors.length; ++i) vm.deal(actors[i], 2 ** 100);
        vm.deal(address(this), 2 ** 100);
    }

    function submissions() external view returns (Submitted[] memory) {
        return _submitted;
    }

    // ---- customers

    function submit(uint256 who, bytes32 seed, uint96 excess) external {
        if (block.timestamp < _storage.flow.pausedUntil()) return;
        SubmissionData memory data = _data(seed);
        uint256 sectors = data.length / 256;
        uint256 due = sectors * _storage.market.pricePerSector();
        (uint256 length, ) = _storage.flow.tree();
        address actor = actors[who % 4];
        uint256 before = _wealth(actor);
        vm.prank(actor);
        (, , uint256 startPos, ) = _storage.flow.submit{value: due + excess}(data);
        vm.assertEq(before - _wealth(actor), due, "I5: a caller pays exactly the price of its sectors");
        _record(length, startPos, sectors, due);
    }

    function batchSubmit(uint256 who, bytes32 seed, uint96 excess) external {
        if (block.timestamp < _storage.flow.pausedUntil()) return;
        SubmissionData[] memory datas = new SubmissionData[](1 + (uint256(seed) % 3));
        uint256 total = 0;
        for (uint256 i = 0; i < datas.length; ++i) {
            datas[i] = _data(keccak256(abi.encode(seed, i)));
            total += datas[i].length / 256;
        }
        uint256 price = _storage.market.pricePerSector();
        (uint256 length, ) = _storage.flow.tree();
        address actor = actors[who % 4];
        uint256 before = _wealth(actor);
        vm.prank(actor);
        (, , uint256[] memory starts, uint256[] memory sectors) = _storage.flow.batchSubmit{
            value: total * price + excess
        }(datas);
        vm.assertEq(before - _wealth(actor), total * price, "I5: a caller pays exactly the price of its sectors");
        for (uint256 i = 0; i < datas.length; ++i) {
            length = _record(length, starts[i], sectors[i], sectors[i] * price);
        }
    }

    function renew(uint256 who, uint256 which, uint96 excess) external {
        if (_submitted.length == 0) return;
        uint256 index = which % _submitted.length;
        Submitted storage lease = _submitted[index];
        if (_storage.market.leaseOf(index, lease.startPos, lease.sectors) > block.timestamp + LEASE_PERIOD) return;
        uint256 due = lease.sectors * _storage.market.pricePerSector();
        address actor = actors[who % 4];
        uint256 before = _wealth(actor);
        vm.prank(actor);
        lease.until = _storage.market.renew{value: due + excess}(index, lease.startPos, lease.sectors);
        vm.assertEq(before - _wealth(actor), due, "I5: a caller pays exactly the price of its sectors");
        charged += due;
    }

    function withdrawCredit(uint256 who) external {
        address actor = actors[who % 4];
        if (_storage.flow.credits(actor) != 0) {
            vm.prank(actor);
            _storage.flow.withdrawCredit(payable(actors[0]));
        }
        if (_storage.market.credits(actor) != 0) {
            vm.prank(actor);
            _storage.market.withdrawCredit(payable(actors[0]));
        }
    }

    function donate(uint96 amount) external {
        _storage.rewards.donate{value: amount}();
        donated += amount;
    }

    // ---- miners

    function claim(uint256 who, uint256 chunk) external {
        _storage.rewards.claimMineReward(chunk % (lastChunk + 1), actors[who % 4], bytes32(chunk));
    }

    function withdrawPayments(uint256 who) external {
        // The fourth takes nothing; its payments stay credited.
        address payable actor = payable(actors[who % 3]);
        uint256 amount = _storage.rewards.payments(actor);
        if (amount == 0) return;
        _storage.rewards.withdrawPayments(actor);
        withdrawn += amount;
    }

    function makeContext() external {
        _storage.flow.makeContext();
    }

    // ---- governance and the guardian

    function schedulePrice(uint32 price) external {
        (, uint256 effectiveAt) = _storage.market.scheduledPrice();
        if (block.timestamp >= effectiveAt && block.timestamp < effectiveAt + 1 hours) return;
        _storage.market.schedulePrice(price);
    }

    function setRewards(uint64 baseReward, uint256 basisPoints, uint256 treasury) external {
        _storage.rewards.setBaseReward(baseReward);
        _storage.rewards.setServiceFee(basisPoints % 2_501, actors[treasury % 4]);
    }

    function pause(uint256 duration) external {
        uint256 last = _storage.flow.pausedUntil();
        if (last == 0 || block.timestamp >= last + 7 days) _storage.flow.pause(duration % 2 days);
    }

    // ---- time

    function pass(uint32 time, uint16 blocks) external {
        _time += time % 20 days;
        _block += blocks % (8 * BLOCKS_PER_EPOCH);
        vm.warp(_time);
        vm.roll(_block);
    }

    // ---- books

    /// What an actor has, with what the contracts owe it for refunds.
    function _wealth(address actor) private view returns (uint256) {
        return actor.balance + _storage.flow.credits(actor) + _storage.market.credits(actor);
    }

    function _record(uint256 length, uint256 startPos, uint256 sectors, uint256 due) private returns (uint256 end) {
        vm.assertLe(length, startPos, "I7: submissions do not overlap");
        end = startPos + sectors;
        _submitted.push(Submitted({startPos: startPos, sectors: sectors, until: 0}));
        charged += due;
        lastChunk = (end - 1) / CHUNK;
        for (uint256 chunk = startPos / CHUNK; chunk <= lastChunk; ++chunk) covered[chunk] = true;
    }

    /// One or two nodes, of up to four chunks; most are small.
    function _data(bytes32 seed) private pure returns (SubmissionData memory data) {
        uint256 random = uint256(seed);
        uint256 top = random % (random % 7 == 0 ? 15 : 8);
        bool second = top > 0 && (random >> 8) % 2 == 1;
        data.nodes = new SubmissionNode[](second ? 2 : 1);
        data.nodes[0] = SubmissionNode({root: seed, height: top});
        if (second) data.nodes[1] = SubmissionNode({root: ~seed, height: top - 1});
        data.length = 256 * ((1 << top) + (second ? 1 << (top - 1) : 0));
    }
}

/// The numbers are those of docs/invariants.md. One campaign serves them all.
contract StorageInvariantsTest is TestBase, StorageDeployment {
    StorageHandler private _handler;
    Deployment private _storage;

    function setUp() public {
        vm.warp(1_800_000_000);
        vm.roll(1_000);
        // Four contracts and two proxies are created before it.
        address handler = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 6);
        _storage = deployStorage(handler, handler, CHUNK);
        _handler = new StorageHandler(_storage);
        vm.assertTrue(address(_handler) == handler, "the handler governs");
        targetContract(address(_handler));
    }

    function invariant_storage() public view {
        _moneyIsConserved();
        _rangesTileTheLog();
        _leasesLast();
    }

    function _moneyIsConserved() private view {
        uint256 flowCredits = 0;
        uint256 marketCredits = 0;
        uint256 held = _storage.rewards.totalBaseReward();
        for (uint256 i = 0; i < 4; ++i) {
            address actor = _handler.actors(i);
            flowCredits += _storage.flow.credits(actor);
            marketCredits += _storage.market.credits(actor);
            held += _storage.rewards.payments(actor);
        }
        for (uint256 chunk = 0; chunk <= _handler.lastChunk(); ++chunk) {
            (uint256 locked, uint256 released, ) = _storage.rewards.chunkOf(chunk);
            held += locked + released;
            vm.assertTrue(
                _handler.covered(chunk) || locked + released == 0,
                "I6: a chunk in which nothing was submitted holds nothing"
            );
        }
        vm.assertEq(address(_storage.flow).balance, flowCredits, "I1: the flow holds its credits and nothing else");
        vm.assertEq(
            address(_storage.market).balance,
            marketCredits,
            "I2: the market holds its credits and nothing else"
        );
        uint256 balance = address(_storage.rewards).balance;
        vm.assertEq(balance, held, "I3: the rewards hold chunks, base pool and payments and nothing else");
        vm.assertEq(
            balance + _handler.withdrawn(),
            _handler.charged() + _handler.donated(),
            "I4: what was charged and donated is held or was paid out"
        );
        vm.assertLe(_storage.rewards.totalBaseReward(), _handler.donated(), "I8: the base pool is donations");
    }

    function _rangesTileTheLog() private view {
        uint256 openStart = _storage.flow.epochStartPosition();
        (uint256 length, ) = _storage.flow.tree();
        vm.assertLe(openStart, length, "I9: the open range starts within the log");
        uint256 end = 1;
        for (uint256 i = 0; end < openStart; ++i) {
            EpochRange memory range = _storage.flow.getEpochRangeHistory(i);
            vm.assertEq(range.start, end, "I10: closed ranges tile the log up to the open one");
            vm.assertLe(range.start + 1, range.end, "I10: closed ranges tile the log up to the open one");
            end = range.end;
        }
        vm.assertEq(end, openStart, "I10: closed ranges tile the log up to the open one");
    }

    function _leasesLast() private view {
        Submitted[] memory submitted = _handler.submissions();
        vm.assertEq(_storage.flow.numSubmissions(), submitted.length, "I11: every submission is counted once");
        for (uint256 i = 0; i < submitted.length; ++i) {
            uint256 until = _storage.market.leaseOf(i, submitted[i].startPos, submitted[i].sectors);
            vm.assertLe(submitted[i].until, until, "I12: a lease never ends before what its last payment bought");
        }
    }
}
