// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SubmissionData, SubmissionNode} from "../../contracts/storage/IFlow.sol";
import {Deployment, PRICE, StorageDeployment} from "./StorageDeployment.sol";
import {TestBase, vm} from "./TestBase.sol";

/// Random sequences of submissions, compared with a log that keeps every sector and hashes all of it.
contract FlowTreeTest is TestBase, StorageDeployment {
    /// Enough for the longest sequence: five submissions of at most 480 sectors, each after a gap below 1024.
    uint256 private constant CAPACITY = 8192;
    bytes32 private immutable EMPTY = keccak256(new bytes(256));

    Deployment private _storage;
    // The reference log. Its first sector holds nothing, not even zeros.
    bytes32[CAPACITY] private _sectors;
    uint256 private _length = 1;

    function setUp() public {
        _storage = deployStorage(address(this), address(this), 2 ** 25);
        vm.deal(address(this), 2 ** 128);
    }

    receive() external payable {}

    function testFuzz_rootEqualsPlainTree(bytes32 seed) public {
        uint256 count = 1 + (uint256(seed) % 5);
        bool batch = uint256(seed >> 8) % 2 == 1;
        SubmissionData[] memory datas = new SubmissionData[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 start;
            uint256 sectors;
            (datas[i], start, sectors) = _refer(keccak256(abi.encode(seed, i)));
            if (batch) continue;
            (uint256 index, , uint256 startIndex, uint256 length) = _storage.flow.submit{value: sectors * PRICE}(
                datas[i]
            );
            vm.assertEq(index, i, "index");
            vm.assertEq(startIndex, start, "start of a submission");
            vm.assertEq(length, sectors, "sectors of a submission");
            vm.assertEq(_storage.flow.computeFlowRoot(), _plainRoot(), "root after a submission");
        }
        if (batch) _storage.flow.batchSubmit{value: CAPACITY * PRICE}(datas);
        (uint256 currentLength, ) = _storage.flow.tree();
        vm.assertEq(currentLength, _length, "length");
        vm.assertEq(_storage.flow.computeFlowRoot(), _plainRoot(), "root");
    }

    /// A random submission, written into the reference log by the rules of placement alone.
    function _refer(bytes32 seed) private returns (SubmissionData memory data, uint256 start, uint256 sectors) {
        uint256[] memory heights = _heights(seed);
        for (uint256 i = 0; i < heights.length; ++i) sectors += 2 ** heights[i];
        uint256 first = 2 ** heights[0];
        start = ((_length + first - 1) / first) * first;
        if (start % 1024 != 0 && start / 1024 != (start + sectors - 1) / 1024) start = (start / 1024 + 1) * 1024;

        data.length = sectors * 256;
        data.nodes = new SubmissionNode[](heights.length);
        uint256 position = start;
        for (uint256 i = 0; i < heights.length; ++i) {
            uint256 size = 2 ** heights[i];
            bytes32[] memory leaves = new bytes32[](size);
            for (uint256 j = 0; j < size; ++j) {
                leaves[j] = keccak256(abi.encode(seed, i, j));
                _sectors[position++] = leaves[j];
            }
            data.nodes[i] = SubmissionNode({root: _perfectRoot(leaves, size), height: heights[i]});
        }
        _length = position;
    }

    /// One to four descending heights within three of the first, at most 8.
    function _heights(bytes32 seed) private pure returns (uint256[] memory heights) {
        uint256 random = uint256(seed);
        uint256 top = random % 9;
        uint256 mask = (random >> 8) % 8;
        uint256 count = 1;
        for (uint256 drop = 1; drop <= 3 && drop <= top; ++drop) count += (mask >> (drop - 1)) & 1;
        heights = new uint256[](count);
        heights[0] = top;
        uint256 next = 1;
        for (uint256 drop = 1; drop <= 3 && drop <= top; ++drop) {
            if ((mask >> (drop - 1)) & 1 == 1) heights[next++] = top - drop;
        }
    }

    /// Root of the smallest perfect tree over the whole reference log.
    function _plainRoot() private view returns (bytes32) {
        uint256 size = 1;
        while (size < _length) size *= 2;
        bytes32[] memory leaves = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            bytes32 sector = i < _length ? _sectors[i] : bytes32(0);
            leaves[i] = sector == 0 && i != 0 ? EMPTY : sector;
        }
        return _perfectRoot(leaves, size);
    }

    function _perfectRoot(bytes32[] memory nodes, uint256 size) private pure returns (bytes32) {
        for (; size > 1; size /= 2) {
            for (uint256 i = 0; i < size / 2; ++i) nodes[i] = keccak256(abi.encode(nodes[2 * i], nodes[2 * i + 1]));
        }
        return nodes[0];
    }
}
