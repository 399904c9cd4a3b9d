// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ILedgerManager} from "../../contracts/compute/ILedgerManager.sol";
import {InferenceServing} from "../../contracts/compute/InferenceServing.sol";
import {IServingProviders} from "../../contracts/compute/IServingProviders.sol";
import {LedgerManager} from "../../contracts/compute/LedgerManager.sol";
import {ComputeDeployment, Greedy} from "./ComputeDeployment.sol";
import {TestBase, vm} from "./TestBase.sol";

contract InferenceTest is TestBase, ComputeDeployment {
    uint256 private constant KEY = 0x7EE;
    address private constant USER = address(0xA1);
    address private constant PROVIDER = address(0xB1);
    address private constant UPGRADER = address(0xC1);
    address private constant GOVERNOR = address(0xC2);

    function setUp() public {
        _deploy(true);
        registry.attest(vm.addr(KEY), type(uint40).max);
    }

    function test_I35_aUserThatCallsAgainWhenRefundedIsPaidOnce() external {
        Greedy user = new Greedy();
        _pay(USER, 10 ether);
        _pay(address(user), 10 ether);
        bytes[] memory again = new bytes[](4);
        again[0] = abi.encodeCall(ILedgerManager.refund, (4 ether));
        again[1] = abi.encodeCall(ILedgerManager.deleteLedger, ());
        again[2] = abi.encodeCall(ILedgerManager.transferFund, (PROVIDER, INFERENCE, 1 ether));
        again[3] = abi.encodeCall(ILedgerManager.retrieveFund, (new address[](0), INFERENCE));
        user.plan(address(ledger), again);
        _offer(PROVIDER, vm.addr(KEY), 1, 1, STAKE);
        vm.prank(address(user));
        ledger.refund(4 ether);
        vm.assertEq(address(user).balance, 4 ether, "I35: paid once");
        vm.assertEq(user.gained(), 0, "I35: a call within a refund succeeded");
        vm.assertEq(address(ledger).balance, 16 ether, "I35: the rest is there");
    }

    function test_I35_aProviderThatCallsAgainWhenPaidIsPaidOnce() external {
        Greedy provider = new Greedy();
        bytes[] memory again = new bytes[](1);
        again[0] = abi.encodeCall(IServingProviders.withdrawEarnings, (payable(address(provider))));
        provider.plan(address(serving), again);
        _offer(address(provider), vm.addr(KEY), 1 ether, 1 ether, STAKE);
        _settleOne(address(provider), KEY);
        vm.prank(address(provider));
        serving.withdrawEarnings(payable(address(provider)));
        vm.assertEq(address(provider).balance, 1 ether, "I35: paid once");
        vm.assertEq(provider.gained(), 0, "I35: a call within a withdrawal succeeded");
        vm.assertEq(address(serving).balance, 1 ether, "I35: the rest is there");
    }

    function testFuzz_I36_onlyTheUpgraderUpgrades(address caller) external {
        address[2] memory proxies = [address(ledger), address(serving)];
        address[2] memory next = [
            address(new LedgerManager()),
            address(new InferenceServing(address(registry), address(bonds), address(0xDD)))
        ];
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = UUPSUpgradeable.upgradeToAndCall.selector;
        manager.grantRole(1, UPGRADER, 0);
        manager.grantRole(2, GOVERNOR, 0);
        address[3] memory others = [caller == UPGRADER ? address(this) : caller, GOVERNOR, address(this)];
        for (uint256 i = 0; i < 2; ++i) {
            manager.setTargetFunctionRole(proxies[i], selectors, 1);
            bytes memory call = abi.encodeCall(UUPSUpgradeable.upgradeToAndCall, (next[i], ""));
            for (uint256 j = 0; j < 3; ++j) {
                vm.prank(others[j]);
                (bool upgraded, bytes memory why) = proxies[i].call(call);
                vm.assertTrue(!upgraded, "I36: somebody else upgraded");
                bytes memory expected = abi.encodeWithSelector(
                    IAccessManaged.AccessManagedUnauthorized.selector,
                    others[j]
                );
                vm.assertEq(keccak256(why), keccak256(expected), "I36: refused for another reason");
            }
            vm.prank(UPGRADER);
            (bool success, ) = proxies[i].call(call);
            vm.assertTrue(success, "I36: the upgrader may");
        }
    }

    function test_withoutARegistryTheSignerCountsThatTheProviderNames() external {
        _deploy(false);
        _offer(PROVIDER, vm.addr(KEY), 1 ether, 1 ether, STAKE);
        vm.assertTrue(serving.isInGoodStanding(PROVIDER), "in good standing");
        _settleOne(PROVIDER, KEY);
        vm.assertEq(serving.earningsOf(PROVIDER), 1 ether, "charged");
        bytes32[] memory items = _one();
        bytes memory signature = _sign(KEY + 1, PROVIDER, 2, items);
        vm.expectRevert(
            abi.encodeWithSelector(IServingProviders.SignerNotAttested.selector, PROVIDER, vm.addr(KEY + 1))
        );
        serving.settleBatch(PROVIDER, 2, bytes32(0), items, signature);
    }

    /// A user with two coins pays one.
    function _settleOne(address provider, uint256 key) private {
        _pay(USER, 3 ether);
        vm.prank(USER);
        ledger.transferFund(provider, INFERENCE, 2 ether);
        bytes32[] memory items = _one();
        serving.settleBatch(provider, 1, bytes32(0), items, _sign(key, provider, 1, items));
    }

    function _one() private pure returns (bytes32[] memory items) {
        items = new bytes32[](1);
        items[0] = _item(USER, 1, 0, 1);
    }
}
