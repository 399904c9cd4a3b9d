// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

/// An account that is a contract. It signs what it was told to approve (ERC-1271), and whenever it is paid it tries at once to be paid again.
contract GreedyAccount is IERC1271 {
    mapping(bytes32 hash => bool) private _approved;
    bytes private _last;
    /// How often the second try worked.
    uint256 public reentered;

    receive() external payable {
        (bool success, ) = msg.sender.call(_last);
        if (success) ++reentered;
    }

    function approve(bytes32 hash) external {
        _approved[hash] = true;
    }

    function execute(address target, bytes calldata data) external payable {
        _last = data;
        (bool success, bytes memory reason) = target.call{value: msg.value}(data);
        if (success) return;
        assembly ("memory-safe") {
            revert(add(reason, 32), mload(reason))
        }
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        return _approved[hash] ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}
